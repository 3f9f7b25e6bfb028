# The image of every program of the product; compose.yaml gives each its command.
#
#   docker compose build
#
# The digests say which base is built on, so they have no default: whoever builds decides anew, and
# deploy/.env.example tells how to find them. The tags are for readers. Python is the minor version
# and Debian the release that the tests run on, so the image gets the very wheels that were tested.
ARG PYTHON_DIGEST
ARG NODE_DIGEST

FROM node:24-bookworm-slim@${NODE_DIGEST} AS browser
WORKDIR /srv/browser
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM python:3.11-slim-bookworm@${PYTHON_DIGEST} AS build
WORKDIR /srv/app
COPY requirements.lock /srv/
# Wheels only: nothing is compiled here, and no package runs code of its own while it is installed.
RUN python -m venv --without-pip /srv/venv \
 && python -m pip --python /srv/venv/bin/python install --no-cache-dir --require-hashes \
    --only-binary=:all: -r /srv/requirements.lock
COPY alembic.ini logs.py settings.py wsgi.py ./
COPY admin/ admin/
COPY api/ api/
COPY jobs/ jobs/
COPY migrations/ migrations/
COPY models/ models/
COPY notifications/ notifications/
COPY reference/ reference/
COPY services/ services/
COPY --from=browser /srv/browser/node_modules/htmx.org/dist/htmx.min.js admin/static/vendor/
# A strict umask of the checkout would lock out the account that runs this. The root is read-only at
# run time, so bytecode is made now; it is not compared with its source again.
RUN chmod -R u=rwX,go=rX /srv/app \
 && python -m compileall -q --invalidation-mode unchecked-hash /srv/app

FROM python:3.11-slim-bookworm@${PYTHON_DIGEST}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="c-thainguyen" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The account is a number without a name, and its home is what it may write to.
ENV PATH=/srv/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /srv/venv /srv/venv
COPY --from=build /srv/app /srv/app
WORKDIR /srv/app
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
    CMD ["python", "-m", "api.alive"]
CMD ["python", "-m", "api.server"]
