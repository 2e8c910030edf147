package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kmsfs/kms"
	"kmsfs/kms/users"
)

// UserName names a user of the doors; empty, where that is said, the only one there is.
type UserName struct{ Name string }

// DoorUser is a user of the doors.
type DoorUser struct {
	Name        string    `json:"user"`
	AccessKeyID string    `json:"access_key_id"`
	Created     time.Time `json:"created"`
	Damaged     bool      `json:"damaged,omitempty"` // its record cannot be read; remove it
}

// Credentials are the access key of a user. The secret signs requests: whoever has it is that user.
type Credentials struct {
	Name        string `json:"user"`
	AccessKeyID string `json:"access_key_id"`
	Secret      string `json:"secret_access_key"`
}

// UserCreate makes a user with an access key.
func (s *Service) UserCreate(_ context.Context, r UserName) (Credentials, error) {
	c, err := s.Users.Create(r.Name)
	if err != nil {
		return Credentials{}, userError(err)
	}
	defer kms.Wipe(c.Secret)
	return Credentials{c.User, c.AccessKeyID, string(c.Secret)}, nil
}

// UserList lists the users by name.
func (s *Service) UserList(context.Context, Nothing) ([]DoorUser, error) {
	out := []DoorUser{}
	for _, u := range s.Users.List() {
		out = append(out, DoorUser{u.Name, u.AccessKeyID, u.Created, u.Damaged})
	}
	return out, nil
}

// UserRemove takes a user's access away at once.
func (s *Service) UserRemove(_ context.Context, r UserName) (Nothing, error) {
	return Nothing{}, userError(s.Users.Delete(r.Name))
}

// UserCredentials is the access key of a user, or of the only one.
func (s *Service) UserCredentials(_ context.Context, r UserName) (Credentials, error) {
	if r.Name == "" {
		all := s.Users.List()
		if len(all) > 1 {
			return Credentials{}, &Error{Code: BadRequest, Message: fmt.Sprintf("there are %d users, so one has to be named", len(all))}
		}
		if len(all) == 0 {
			return Credentials{}, &Error{Code: NoUser, Message: "there is no user"}
		}
		r.Name = all[0].Name
	}
	c, err := s.Users.Get(r.Name)
	if err != nil {
		return Credentials{}, userError(err)
	}
	defer kms.Wipe(c.Secret)
	return Credentials{c.User, c.AccessKeyID, string(c.Secret)}, nil
}

// userError gives errors of the users a code.
func userError(err error) error {
	switch {
	case errors.Is(err, users.ErrNotFound):
		return &Error{Code: NoUser, Message: err.Error()}
	case errors.Is(err, users.ErrName), errors.Is(err, users.ErrExists):
		return &Error{Code: BadRequest, Message: err.Error()}
	}
	return err
}
