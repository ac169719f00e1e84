# The services of compose.yaml, installed as on a machine without an engine.
FROM node:24.21.0-bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends default-jre-headless maven
WORKDIR /opt/iflex
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY . .
# In a container, servers listen on its own network; compose.yaml publishes their ports on loopback only.
ENV IFLEX_SERVICES_STATE=/var/lib/iflex/services IFLEX_SERVICES_CACHE=/var/cache/iflex/services IFLEX_SERVICES_HOST=0.0.0.0
RUN node infra/services/main.ts install && rm -rf /var/cache/iflex/services/maven /var/lib/iflex/services/*
ENTRYPOINT ["node", "infra/services/main.ts"]
CMD ["--help"]
