#!/bin/sh
# Makes the folders and invents the secrets that compose.yaml mounts; what is there already stays.
#
#   sudo deploy/prepare.sh DATA_DIR SECRETS_DIR BACKUP_DIR
#
# Run it again after you have put in what it cannot invent: it sets who may read what.
set -eu
umask 077
[ $# = 3 ] || { echo "usage: $0 DATA_DIR SECRETS_DIR BACKUP_DIR" >&2; exit 2; }
data=$1
secrets=$2
backup=$3
# Containers know accounts by number only; compose.yaml says whose each number is.
readers=10001

folder() {
    mkdir -p "$1"
    chown "$2" "$1"
    chmod 700 "$1"
}

# secret NAME COMMAND …: what the command says, unless there is one. It appears whole or not at all,
# so that a second run finds no half of one.
secret() {
    name=$1
    shift
    [ ! -s "$secrets/$name" ] || return 0
    "$@" >"$secrets/.new"
    mv "$secrets/.new" "$secrets/$name"
}

word() { openssl rand -hex 32; }

first_key() { echo "1:$(word)"; }

# address ROLE: as the containers reach the database.
address() {
    echo "postgresql://$1:$(cat "$secrets/$1_password")@/c_thainguyen?host=/run/postgresql"
}

s3_credentials() {
    printf '[default]\naws_access_key_id = c-thainguyen\naws_secret_access_key = '
    word
}

mkdir -p "$data" "$secrets" "$backup"
folder "$data/postgres" 999:999
folder "$data/photos" 10003:10001
folder "$backup/database" 999:999

for each in postgres_password owner_password app_password secret_key; do
    secret "$each" word
done
for each in data_keys index_keys; do
    secret "$each" first_key
done
secret database_url address app
secret migration_database_url address owner
secret access_token_key openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256
secret audit_key openssl genpkey -quiet -algorithm ED25519
secret s3_credentials s3_credentials

chown "0:$readers" "$secrets"/*
chmod 440 "$secrets"/*
for each in oidc_client_secret oidc_admin_client_secret firebase_credentials; do
    [ -s "$secrets/$each" ] || echo "Still to be put into $secrets: $each"
done
