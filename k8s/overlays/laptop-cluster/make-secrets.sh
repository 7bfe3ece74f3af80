#!/bin/sh
# Makes the secrets of the overlay laptop-cluster, with random values that are printed nowhere. Those that are there stay.
set -eu
cd "$(dirname "$0")"
kubectl apply --server-side -f ../../base/namespaces.yaml
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
make() {
    name=$1
    shift
    kubectl -n runstart get secret "$name" >/dev/null 2>&1 || kubectl -n runstart create secret generic "$name" "$@"
}
# Through a file, since other users of this machine can read the arguments of a command.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf 'DAGSTER_PG_PASSWORD=%s\n' "$(random)" >"$folder/postgresql"
printf 'AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n' "$(random)" "$(random)" >"$folder/object-store"
make postgresql --from-env-file="$folder/postgresql"
make object-store --from-env-file="$folder/object-store"
