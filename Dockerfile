# The image of Journal: replica, chain controller, operator and hand tool, by `journal …`.
#
#   docker build -t journal .
#   docker run --rm journal dev                  three zones in one container, for itself
#   docker run --rm -p 7401-7403:7401-7403 journal dev --host 0.0.0.0     and for this machine
#   docker run --rm journal replica --help
#
# Both bases are arguments: BUILDER needs Node.js 24 with npm, BASE only Node.js 24. The same
# sources, lock file and bases make the same files, with the same rights; for the same image, byte
# for byte, give the moment it is of, too, which is the time of all its files:
#
#   buildah build --timestamp "$(git log -1 --format=%ct)" .

ARG BASE=node:24-slim
ARG BUILDER=${BASE}

FROM ${BUILDER} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No script of a package runs: none is needed, and Node.js itself comes with the base.
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY LICENSE ./
COPY protocol ./protocol
COPY io ./io
COPY log ./log
COPY transport ./transport
COPY client ./client
COPY replica ./replica
COPY operator ./operator
COPY cli ./cli
COPY scripts/strip.ts ./scripts/strip.ts
RUN find . -name '*.test.ts' -not -path './node_modules/*' -delete \
  && node scripts/strip.ts /app/node_modules/.cache/journal \
  && rm -r scripts \
  # Whatever the umask of the checkout was: everybody may read, nobody but root may write.
  && chmod -R u=rwX,go=rX . \
  && mkdir -p /empty/data

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="journal" \
  org.opencontainers.image.description="A replicated, totally ordered shared log" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
COPY --from=build /app /app
# For `dev`, and for whoever mounts nothing: the only place that is written to.
COPY --from=build --chown=65532:65532 /empty/data /var/lib/journal
WORKDIR /var/lib/journal
USER 65532:65532
EXPOSE 7400 7401 7402 7403 7410 7480
ENTRYPOINT ["node", "/app/cli/journal.js"]
CMD ["--help"]
