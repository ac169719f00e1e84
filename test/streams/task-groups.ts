/** Who shares the tasks of a namespace, as Kafka's coordinator tells it. */
import { describeGroupsV5 } from '@platformatic/kafka';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { taskGroup } from '../../streams/kafka-membership.ts';
import type { KafkaSettings } from '../../streams/kafka-settings.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';

export interface GroupMember {
  memberId: string;
  /** Of the process; ends in its id. */
  clientId: string;
  share: number[];
}

/** Members with their shares; empty while these are being dealt out. */
async function membersOf(cluster: KafkaCluster, namespace: string): Promise<GroupMember[]> {
  const describe = () => cluster.sendToAny(describeGroupsV5.api, [taskGroup(namespace)], false);
  const { groups } = await cluster.untilDone(describe, { withinMs: 30_000 });
  if (groups[0].groupState !== 'Stable') return [];
  return groups[0].members.map(({ memberId, clientId, memberAssignment }) => ({
    memberId: memberId!,
    clientId: clientId!,
    share: JSON.parse(memberAssignment.toString()) as number[],
  }));
}

/** Resolves once members that are as wanted have all tasks among them, with their shares. Fails where `failed` does. */
export async function untilShared(
  { settings, namespace }: { settings: KafkaSettings; namespace: string },
  areWanted: (members: readonly GroupMember[]) => boolean,
  failed?: Promise<never>,
): Promise<GroupMember[]> {
  const cluster = new KafkaCluster(settings, 'iflex test');
  try {
    for (;;) {
      const look = membersOf(cluster, namespace);
      const members = await (failed ? Promise.race([look, failed]) : look);
      const shared = members.reduce((sum, { share }) => sum + share.length, 0);
      if (shared === PARTITION_COUNT && areWanted(members)) return members;
    }
  } finally {
    await cluster.close();
  }
}
