package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/local"
	"kmsfs/objstore"
)

// advice is one row of the table of hints.
type advice struct {
	when error
	text string
}

// hints is what to do about each kind of error, in one place: the packages below state facts only. {store} stands
// for the store's path. The first row that fits is shown.
func hints() []advice {
	return []advice{
		{service.Stale, "the daemon of this mount died; run `kmsfs mount` again, which clears it, or `umount -l DIR`"},
		{service.Closing, "run the command again"},
		{service.NotDaemon, "run `kmsfs mount` or `kmsfs serve` first"},
		{service.NotMounted, "`kmsfs status` lists the mounts of a store; for another store add --store DIR"},
		{service.NoStore, "`kmsfs init` or the first `kmsfs mount` makes a store; name an existing one with --store DIR or $KMSFS_STORE"},
		{service.NoRootKey, "put the root key back from where you keep its copy, or make it anew from the recovery kit (kmsfs root recover KIT), or name its file in $KMSFS_ROOT_KEY; without it the data is lost"},
		{local.ErrPassphrase, "give the passphrase that the root key file was last changed to; or make the file anew: kmsfs root recover KIT"},
		{service.WrongRootKey, "name the file with the right root key in $KMSFS_ROOT_KEY; if {store}.key was replaced, put the right one back, or make it anew from its recovery kit: kmsfs root recover KIT"},
		{service.RootKMS, "the store opens when that key service can be reached and allows Decrypt with the key: check its endpoint (root.kms-endpoint), the key's state and the AWS credentials; " +
			"if it is gone for good, move {store}.key away and run: kmsfs root recover KIT --protection none"},
		{service.OtherKMS, "correct kms.provider and kms.endpoint; if that KMS has moved, set kms.provider-moved = true once"},
		{service.NoKeyring, "put kmsfs.keyring back into {store} from a backup of the store; without it the root key opens nothing, and the data is lost"},
		{service.OpenRootKey, "chmod 600 {store}.key, and make a new store if someone else may have read it"},
		{service.OlderFormat, "copy its files out of a mount by the kmsfs version that wrote it, and into a new store"},
		{service.NewerFormat, "use the kmsfs version that wrote the store, or a later one"},
		{service.NoFUSE, "as root: modprobe fuse, and chmod 666 /dev/fuse for other users; in a container: --device /dev/fuse --cap-add SYS_ADMIN; without root install fuse3"},
		{service.NoDaemon, "look into {store}.log; `kmsfs mount` starts a daemon"},
		{service.WouldLose, "if you mean it, say how many: --i-will-lose N; to use the data under another key first: kmsfs rewrap -r"},
		{service.NoDoor, "`kmsfs serve --kms 127.0.0.1:PORT` opens one; `kmsfs status` shows those that are open"},
		{service.NoUser, "`kmsfs user ls` lists the users; `kmsfs user create NAME` makes one"},
		{service.DamagedBackup, "`kmsfs restore-backup --verify SRC` reads all of it; another backup of the directory may be whole: `kmsfs backup ls DIR`"},
		{service.Unfinished, "run kmsfs restore-backup again: it begins anew"},
		{service.NoBackup, "`kmsfs backup ls DIR` lists the backups"},
		{service.NotPermitted, "run the command as the user whose store {store} is"},
		{kms.DisabledException, "enable it: kmsfs key enable KEY"},
		{kms.InvalidKeyUsageException, "choose a symmetric key with usage ENCRYPT_DECRYPT: kmsfs key ls"},
		{kms.AlreadyExistsException, "point it to another key: kmsfs key alias set ALIAS KEY"},
		{kms.InvalidAliasNameException, "an alias is alias/ and then letters, digits, and / _ -"},
		{kms.AccessDeniedException, "the key's policy decides who may use it; keys under alias/aws/ are managed by the service"},
		{kms.NotAuthorizedException, "names under alias/aws/ are reserved; choose another"},
		{kms.NotFoundException, "`kmsfs key ls` lists the keys; `kmsfs key create --alias alias/NAME` makes one"},
		{kms.ThrottlingException, "wait a moment and try again"},
		{kms.DependencyTimeoutException, "check that the KMS can be reached, then try again"},
		{kms.KeyUnavailableException, "check that the KMS can be reached, then try again"},
		{kms.LimitExceededException, "remove what is not needed any more; the limits are those of AWS KMS"},
		{objstore.IntegrityError, "`kmsfs check` shows what is damaged; older versions may be whole: kmsfs versions PATH"},
		{objstore.BucketNotEmpty, "remove its objects and their versions first, or let them expire: kmsfs bucket set NAME --expire-noncurrent"},
		{objstore.BucketAlreadyOwnedByYou, "change it with: kmsfs bucket set NAME"},
		{objstore.InvalidBucketName, "3 to 63 of a-z, 0-9, dots and dashes, starting and ending with a letter or digit"},
		{objstore.NoSuchBucket, "`kmsfs bucket ls` lists the buckets; `kmsfs bucket create NAME` makes one"},
		{objstore.NoSuchVersion, "`kmsfs versions PATH` lists the versions"},
		{objstore.MethodNotAllowed, "this version is a delete marker; restore an older one: kmsfs versions PATH"},
		{objstore.InsufficientStorage, "free space on the disk of the store; `kmsfs gc` gives back what is reclaimable"},
		{fs.ErrPermission, "run the command as the owner of the store, or as root"},
	}
}

// hint is the advice for err, "" where there is none. It names the key that the error is about.
func hint(err error, store string) string {
	text := adviceFor(err, store)
	var all *allFailedError
	if errors.As(err, &all) {
		err = all.last
	}
	if arn := keyARN(err.Error()); arn != "" {
		text = strings.ReplaceAll(text, " KEY", " "+arn)
	}
	return text
}

// keyARN is the first key ARN in a text; "" where there is none.
func keyARN(text string) string {
	_, rest, ok := strings.Cut(text, "arn:aws:kms:")
	if !ok {
		return ""
	}
	const inARN = "abcdefghijklmnopqrstuvwxyz0123456789:/-"
	if end := strings.IndexFunc(rest, func(r rune) bool { return !strings.ContainsRune(inARN, r) }); end >= 0 {
		rest = rest[:end]
	}
	if !strings.Contains(rest, ":key/") {
		return ""
	}
	return "arn:aws:kms:" + rest
}

func adviceFor(err error, store string) string {
	var usage *usageError
	var state *kms.Error
	switch {
	case errors.As(err, &usage):
		return "" // the usage line stands there already
	case errors.Is(err, service.RootKMS): // its key is not one of this store
		return adviceOn(service.RootKMS, store)
	case errors.As(err, &state) && state.Code == kms.KMSInvalidStateException:
		return stateHint(state.State)
	case errors.Is(err, service.Busy):
		return busyHint(err)
	}
	return adviceOn(err, store)
}

// adviceOn is the first row of the table that fits.
func adviceOn(err error, store string) string {
	for _, a := range hints() {
		if errors.Is(err, a.when) {
			return strings.ReplaceAll(a.text, "{store}", store)
		}
	}
	return ""
}

func busyHint(err error) string {
	if strings.Contains(err.Error(), "in use by pid ") {
		return "close the files or end those processes (a shell: cd elsewhere), then run the command again"
	}
	return "wait for the other process to end, or stop it, then run the command again"
}

// stateHint names the command that makes a key in this state usable.
func stateHint(s kms.KeyState) string {
	switch s {
	case kms.StatePendingDeletion:
		return "stop the deletion: kmsfs key cancel-deletion KEY, then kmsfs key enable KEY"
	case kms.StatePendingImport:
		return "the key has no material: use another one (kmsfs key ls)"
	case kms.StateDisabled:
		return "enable it: kmsfs key enable KEY"
	}
	return fmt.Sprintf("see its state (%s) with: kmsfs key describe KEY", s)
}

// mountHints is the advice for a mount point, by what is wrong with it.
func mountHint(err error) string {
	var bad *mountPointError
	if !errors.As(err, &bad) {
		return ""
	}
	return bad.advice
}
