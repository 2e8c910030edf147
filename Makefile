# Everything needs Go and git; `make test` installs what else is missing (testdata/tools.sh).

run stop: export KMSFS_STORE := $(CURDIR)/.kmsfs/store
VCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)
FUZZTIME ?= 20s
OPS ?= 1000000

.PHONY: run stop build test bench fuzz lint fmt tools clean

# mounts the bucket "demo" on ./mnt, from an embedded store in ./.kmsfs
run: build
	@mkdir -p mnt
	@grep -qs ' $(CURDIR)/mnt fuse.kmsfs ' /proc/mounts && stat mnt >/dev/null 2>&1 || bin/kmsfs mount demo mnt
	@cat testdata/try.txt

# takes the mount away again; the store stays
stop: build
	bin/kmsfs umount mnt

build:
	go build -buildvcs=$(VCS) -trimpath -o bin/kmsfs ./cmd/kmsfs

test: tools lint
	go test -timeout 20m ./...

# benchmarks against the last commit, and the growth table
bench:
	sh testdata/bench.sh

# every fuzz target for FUZZTIME, then OPS random operations on a mount
fuzz:
	@for pkg in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$pkg | grep ^Fuzz); do \
		echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; done; done
	KMSFS_TEST_OPS=$(OPS) go test -run '^TestRandomOperations$$' -count 1 -timeout 6h -v ./cmd/kmsfs

lint: fmt
	go vet ./...
	@if command -v staticcheck >/dev/null; then staticcheck ./...; fi

fmt:
	@bad=$$(gofmt -l cmd fs kms objstore xattr); [ -z "$$bad" ] || { echo "gofmt these files:"; echo "$$bad"; exit 1; }

tools:
	@sh testdata/tools.sh

clean:
	rm -rf bin
