#!/bin/sh
# Run once by the image of PostgreSQL, on an empty cluster: the owner, who migrates, the role of the
# application, and the database. What the application may do is granted by migrations/env.py.
set -eu
export SECRETS="${SECRETS:-/run/secrets}"
# The passwords are read by psql itself, so that no list of processes shows them.
psql -X -q -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'END'
\set owner_password `cat "$SECRETS/owner_password"`
\set app_password `cat "$SECRETS/app_password"`
CREATE ROLE owner LOGIN PASSWORD :'owner_password';
CREATE ROLE app LOGIN PASSWORD :'app_password';
CREATE DATABASE c_thainguyen OWNER owner;
REVOKE ALL ON DATABASE c_thainguyen FROM PUBLIC;
GRANT CONNECT ON DATABASE c_thainguyen TO app;
END
