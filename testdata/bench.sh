#!/bin/sh
# The Go benchmarks of seal, store, keys and mount, compared by benchstat with the last commit (BASE; with a clean tree,
# the one before), and the growth table. COUNT runs each (6), OBJECTS sizes of the store ("10000 100000 1000000").
set -eu
cd "$(dirname "$0")/.."
if [ -z "${BASE:-}" ]; then
	BASE=HEAD
	[ -n "$(git status --porcelain)" ] || BASE=HEAD~1
fi
work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$BASE"

bench() { # in directory $1, into file $2
	(cd "$1" && go test -run '^$' -bench 'Seal|Open$|Create|Overwrite|Rename$|Unlink|Read|Lookup|Write|Update|DataKey' -benchmem \
		-benchtime "${BENCHTIME:-200ms}" -count "${COUNT:-6}" ./objstore/seal ./objstore/badgerstore/kv ./kms ./fs ./fs/fusefs) >"$2"
}

bench "$work/base" "$work/old.txt"
bench . "$work/new.txt"
go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da "base=$work/old.txt" "tree=$work/new.txt"
KMSFS_BENCH_OBJECTS="${OBJECTS:-10000 100000 1000000}" go test ./cmd/kmsfs -run '^$' -bench Growth -benchtime 1x -timeout 3h
