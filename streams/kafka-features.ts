/** Whether a cluster writes transactions as we need them: those of KIP-890, which no request that comes late can leave open. */

const FEATURE = 'transaction.version';
const NEEDED_LEVEL = 2;

/** What brokers say that they can, and what the cluster has agreed on. */
export interface ClusterFeatures {
  supportedFeatures?: readonly { name: string; maxVersion: number }[];
  finalizedFeatures?: readonly { name: string; maxVersionLevel: number }[];
}

/** What to do where it does not. */
export function transactionProblem({ supportedFeatures = [], finalizedFeatures = [] }: ClusterFeatures): string | undefined {
  const level = finalizedFeatures.find(({ name }) => name === FEATURE)?.maxVersionLevel ?? 0;
  if (level >= NEEDED_LEVEL) return undefined;
  const possible = supportedFeatures.find(({ name }) => name === FEATURE)?.maxVersion ?? 0;
  if (possible < NEEDED_LEVEL)
    return `The Kafka cluster is older than 4.0: it has no ${FEATURE} ${NEEDED_LEVEL}, which is needed. Upgrade its brokers, then this feature.`;
  return (
    `The Kafka cluster has ${FEATURE} ${level}, but ${NEEDED_LEVEL} is needed: ` +
    `\`kafka-features.sh --bootstrap-server … upgrade --feature ${FEATURE}=${NEEDED_LEVEL}\`.`
  );
}
