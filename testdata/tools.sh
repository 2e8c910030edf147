#!/bin/sh
# Installs the programs that tests run, where they are missing. Needs apt-get for that, and npm for a package.
set -eu

# the AWS SDK for JavaScript, at the versions of package-lock.json; again only when that changes
sdk() {
	cd "$(dirname "$0")/js"
	cmp -s package-lock.json node_modules/installed && return
	echo "installing: $(sed -n 's/.*"\(@aws-sdk.*\)": "\(.*\)".*/\1 \2/p' package.json)"
	npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error
	cp package-lock.json node_modules/installed
}

missing=""
need() { # need PROGRAM PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need git git
need fusermount3 fuse3
need setfattr attr
need setfacl acl
need rsync rsync
need sqlite3 sqlite3
need gocryptfs gocryptfs
need setpriv util-linux
need stress-ng stress-ng
need mkfs.ext4 e2fsprogs
need node nodejs
need npm npm
need mkfs.btrfs btrfs-progs
# the AWS clients have to be Debian's: another Python's shims may stand before them in PATH
[ -x /usr/bin/aws ] || missing="$missing awscli"
/usr/bin/python3 -c 'import boto3' 2>/dev/null || missing="$missing python3-boto3"
if [ -z "$missing" ]; then
	sdk
	exit
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
	as_root="sudo -n"
	sudo -n true 2>/dev/null || {
		echo "tests need these packages, and without root they cannot be installed:$missing" >&2
		echo "hint: sudo apt-get install$missing" >&2
		exit 1
	}
fi
command -v apt-get >/dev/null 2>&1 || {
	echo "tests need these packages:$missing" >&2
	echo "hint: there is no apt-get here; install them with the package manager of this system" >&2
	exit 1
}
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
	$as_root apt-get update >/dev/null
	$as_root apt-get install -y --no-install-recommends $missing
}
sdk
