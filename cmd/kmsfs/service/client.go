package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// Client calls the verbs of the daemon that listens on a Unix socket.
type Client struct{ path string }

var _ API = (*Client)(nil)

// Dial answers [NoDaemon] when nobody listens on the socket.
func Dial(path string) (*Client, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, &Error{Code: NoDaemon, Message: "no daemon answers", Err: err}
	}
	return &Client{path: path}, conn.Close()
}

// frame is one line that the daemon sends.
type frame struct {
	Event  *Event          `json:",omitempty"`
	Answer json.RawMessage `json:",omitempty"`
	Error  *WireError      `json:",omitempty"`
}

// request is the line that the client sends.
type request struct {
	Verb    string
	Request any
}

// invoke makes one call. A cancelled ctx hangs up, which cancels the call on the other side.
func invoke[Resp any](ctx context.Context, c *Client, verb string, req any, progress Progress) (resp Resp, err error) {
	conn, err := net.Dial("unix", c.path)
	if err != nil {
		return resp, &Error{Code: NoDaemon, Message: "no daemon answers", Err: err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(request{verb, req}); err != nil {
		return resp, hangup(ctx, verb, err)
	}
	dec := json.NewDecoder(conn)
	for {
		var f frame
		if err := dec.Decode(&f); err != nil {
			return resp, hangup(ctx, verb, err)
		}
		switch {
		case f.Event != nil:
			if progress != nil {
				progress(*f.Event)
			}
		case f.Error != nil:
			return resp, f.Error
		default:
			return resp, json.Unmarshal(f.Answer, &resp)
		}
	}
}

func hangup(ctx context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it hung up")
	}
	return &Error{Code: NoDaemon, Message: fmt.Sprintf("the daemon did not answer %s", verb), Err: err}
}

func (c *Client) Status(ctx context.Context, r StatusRequest) (Status, error) {
	return invoke[Status](ctx, c, "Status", r, nil)
}

func (c *Client) Mount(ctx context.Context, r MountRequest) (Mount, error) {
	return invoke[Mount](ctx, c, "Mount", r, nil)
}

func (c *Client) Umount(ctx context.Context, r UmountRequest) (UmountAnswer, error) {
	return invoke[UmountAnswer](ctx, c, "Umount", r, nil)
}

func (c *Client) Serve(ctx context.Context, r ServeRequest) ([]Door, error) {
	return invoke[[]Door](ctx, c, "Serve", r, nil)
}

func (c *Client) ServeStop(ctx context.Context, r Nothing) (ServeStopped, error) {
	return invoke[ServeStopped](ctx, c, "ServeStop", r, nil)
}

func (c *Client) UserCreate(ctx context.Context, r UserName) (Credentials, error) {
	return invoke[Credentials](ctx, c, "UserCreate", r, nil)
}

func (c *Client) UserList(ctx context.Context, r Nothing) ([]DoorUser, error) {
	return invoke[[]DoorUser](ctx, c, "UserList", r, nil)
}

func (c *Client) UserRemove(ctx context.Context, r UserName) (Nothing, error) {
	return invoke[Nothing](ctx, c, "UserRemove", r, nil)
}

func (c *Client) UserCredentials(ctx context.Context, r UserName) (Credentials, error) {
	return invoke[Credentials](ctx, c, "UserCredentials", r, nil)
}

func (c *Client) BucketCreate(ctx context.Context, r BucketSettings) (Bucket, error) {
	return invoke[Bucket](ctx, c, "BucketCreate", r, nil)
}

func (c *Client) BucketSet(ctx context.Context, r BucketSettings) (Bucket, error) {
	return invoke[Bucket](ctx, c, "BucketSet", r, nil)
}

func (c *Client) BucketList(ctx context.Context, r Nothing) ([]Bucket, error) {
	return invoke[[]Bucket](ctx, c, "BucketList", r, nil)
}

func (c *Client) BucketShow(ctx context.Context, r BucketName) (Bucket, error) {
	return invoke[Bucket](ctx, c, "BucketShow", r, nil)
}

func (c *Client) BucketRemove(ctx context.Context, r BucketName) (Nothing, error) {
	return invoke[Nothing](ctx, c, "BucketRemove", r, nil)
}

func (c *Client) KeyCreate(ctx context.Context, r KeyCreateRequest) (Key, error) {
	return invoke[Key](ctx, c, "KeyCreate", r, nil)
}

func (c *Client) KeyList(ctx context.Context, r Nothing) ([]Key, error) {
	return invoke[[]Key](ctx, c, "KeyList", r, nil)
}

func (c *Client) KeyDescribe(ctx context.Context, r KeyID) (Key, error) {
	return invoke[Key](ctx, c, "KeyDescribe", r, nil)
}

func (c *Client) KeyEnable(ctx context.Context, r KeyID) (Key, error) {
	return invoke[Key](ctx, c, "KeyEnable", r, nil)
}

func (c *Client) KeyDisable(ctx context.Context, r KeyID) (KeyStopped, error) {
	return invoke[KeyStopped](ctx, c, "KeyDisable", r, nil)
}

func (c *Client) KeyRotate(ctx context.Context, r KeyID) (Key, error) {
	return invoke[Key](ctx, c, "KeyRotate", r, nil)
}

func (c *Client) KeyCertificate(ctx context.Context, r KeyID) (kms.Certificate, error) {
	return invoke[kms.Certificate](ctx, c, "KeyCertificate", r, nil)
}

func (c *Client) KeyUse(ctx context.Context, r KeyID) (objstore.KeyUse, error) {
	return invoke[objstore.KeyUse](ctx, c, "KeyUse", r, nil)
}

func (c *Client) KeyScheduleDeletion(ctx context.Context, r KeyDeletionRequest) (KeyStopped, error) {
	return invoke[KeyStopped](ctx, c, "KeyScheduleDeletion", r, nil)
}

func (c *Client) KeyCancelDeletion(ctx context.Context, r KeyID) (Key, error) {
	return invoke[Key](ctx, c, "KeyCancelDeletion", r, nil)
}

func (c *Client) KeyPolicy(ctx context.Context, r KeyPolicyRequest) (KeyPolicy, error) {
	return invoke[KeyPolicy](ctx, c, "KeyPolicy", r, nil)
}

func (c *Client) KeyPolicySet(ctx context.Context, r KeyPolicy) (KeyPolicy, error) {
	return invoke[KeyPolicy](ctx, c, "KeyPolicySet", r, nil)
}

func (c *Client) KeyTags(ctx context.Context, r KeyTagRequest) ([]kms.Tag, error) {
	return invoke[[]kms.Tag](ctx, c, "KeyTags", r, nil)
}

func (c *Client) KeyRotation(ctx context.Context, r KeyRotationRequest) (KeyRotation, error) {
	return invoke[KeyRotation](ctx, c, "KeyRotation", r, nil)
}

func (c *Client) GrantCreate(ctx context.Context, r GrantRequest) (kms.GrantRef, error) {
	return invoke[kms.GrantRef](ctx, c, "GrantCreate", r, nil)
}

func (c *Client) GrantList(ctx context.Context, r KeyID) ([]kms.Grant, error) {
	return invoke[[]kms.Grant](ctx, c, "GrantList", r, nil)
}

func (c *Client) GrantRevoke(ctx context.Context, r GrantName) (Nothing, error) {
	return invoke[Nothing](ctx, c, "GrantRevoke", r, nil)
}

func (c *Client) GrantRetire(ctx context.Context, r GrantName) (Nothing, error) {
	return invoke[Nothing](ctx, c, "GrantRetire", r, nil)
}

func (c *Client) AliasList(ctx context.Context, r Nothing) ([]Alias, error) {
	return invoke[[]Alias](ctx, c, "AliasList", r, nil)
}

func (c *Client) AliasSet(ctx context.Context, r Alias) (Alias, error) {
	return invoke[Alias](ctx, c, "AliasSet", r, nil)
}

func (c *Client) AliasRemove(ctx context.Context, r AliasName) (Nothing, error) {
	return invoke[Nothing](ctx, c, "AliasRemove", r, nil)
}

func (c *Client) Versions(ctx context.Context, r Object) ([]Version, error) {
	return invoke[[]Version](ctx, c, "Versions", r, nil)
}

func (c *Client) Restore(ctx context.Context, r RestoreRequest) (Version, error) {
	return invoke[Version](ctx, c, "Restore", r, nil)
}

func (c *Client) Explain(ctx context.Context, r Object) (Explanation, error) {
	return invoke[Explanation](ctx, c, "Explain", r, nil)
}

func (c *Client) Reencrypt(ctx context.Context, r TreeRequest, p Progress) (TreeAnswer, error) {
	return invoke[TreeAnswer](ctx, c, "Reencrypt", r, p)
}

func (c *Client) Rewrap(ctx context.Context, r TreeRequest, p Progress) (TreeAnswer, error) {
	return invoke[TreeAnswer](ctx, c, "Rewrap", r, p)
}

func (c *Client) Check(ctx context.Context, r CheckRequest, p Progress) (CheckAnswer, error) {
	return invoke[CheckAnswer](ctx, c, "Check", r, p)
}

func (c *Client) GC(ctx context.Context, r Nothing) (GCAnswer, error) {
	return invoke[GCAnswer](ctx, c, "GC", r, nil)
}

func (c *Client) Backup(ctx context.Context, r BackupRequest, p Progress) (BackupAnswer, error) {
	return invoke[BackupAnswer](ctx, c, "Backup", r, p)
}
