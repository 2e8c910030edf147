package service

import (
	"context"
	"slices"
	"time"
)

// The protocols of doors.
const (
	ProtocolKMS = "kms"
	ProtocolS3  = "s3"
)

// Doors opens the network doors of a daemon.
type Doors interface {
	// Open listens for a protocol on addr and answers from then on.
	Open(protocol, addr string) (Door, error)
	// Close closes the doors with these URLs, without any all doors; requests that are being answered get until ctx is done.
	Close(ctx context.Context, urls ...string)
}

// Door is an open door of the daemon.
type Door struct {
	Protocol string    `json:"protocol"` // kms or s3
	Address  string    `json:"address"`  // as it was asked for
	URL      string    `json:"url"`      // for clients on this machine
	CAFile   string    `json:"ca_file,omitempty"`
	Since    time.Time `json:"since"`
}

// ServeRequest asks for doors at addresses: HOST:PORT, with http:// or https:// before it or not. "" is no such door.
type ServeRequest struct {
	KMS, S3 string
	Stay    bool // the daemon stays without a mount, until [API.ServeStop]
}

// Any reports whether a door is asked for.
func (r ServeRequest) Any() bool { return r.KMS != "" || r.S3 != "" }

// ServeStopped says whether the daemon ends, because it has no mount either.
type ServeStopped struct{ Last bool }

// Serve opens doors. One that is open at that address already is answered. When one cannot be opened, none is.
func (s *Service) Serve(ctx context.Context, r ServeRequest) ([]Door, error) {
	if s.Doors == nil {
		return nil, &Error{Code: NotDaemon, Message: "this process does not stay to serve a door"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, &Error{Code: Closing, Message: "the daemon is about to end"}
	}
	var asked, opened []Door
	for _, w := range []struct{ protocol, addr string }{{ProtocolKMS, r.KMS}, {ProtocolS3, r.S3}} {
		if w.addr == "" {
			continue
		}
		if i := slices.IndexFunc(s.doors, func(d Door) bool { return d.Address == w.addr && d.Protocol == w.protocol }); i >= 0 {
			asked = append(asked, s.doors[i])
			continue
		}
		d, err := s.Doors.Open(w.protocol, w.addr)
		if err != nil {
			s.closeAgain(ctx, opened)
			return nil, &Error{Code: BadDoor, Message: err.Error()}
		}
		asked, opened = append(asked, d), append(opened, d)
	}
	for _, d := range opened {
		s.Logger.Info("door opened", "protocol", d.Protocol, "url", d.URL)
	}
	s.doors = append(s.doors, opened...)
	s.stay = s.stay || r.Stay
	return asked, nil
}

// closeAgain closes doors that were just opened.
func (s *Service) closeAgain(ctx context.Context, doors []Door) {
	for _, d := range doors {
		s.Doors.Close(ctx, d.URL)
	}
}

// ServeStop closes all doors. A daemon without a mount ends.
func (s *Service) ServeStop(ctx context.Context, _ Nothing) (ServeStopped, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.doors) == 0 {
		return ServeStopped{}, &Error{Code: NoDoor, Message: "no door is open"}
	}
	s.closeDoors(ctx)
	s.endWhenIdle()
	return ServeStopped{Last: s.closing}, nil
}

// doorPatience is how long requests that are being answered hold up the closing of a door.
const doorPatience = 2 * time.Second

// closeDoors is called with mu held.
func (s *Service) closeDoors(ctx context.Context) {
	if s.Doors == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doorPatience)
	defer cancel()
	s.Doors.Close(ctx)
	s.doors, s.stay = nil, false
}

// endWhenIdle lets the daemon end when nothing keeps it. It is called with mu held.
func (s *Service) endWhenIdle() {
	if len(s.mounts) == 0 && !s.stay && !s.closing {
		s.closing = true
		close(s.ended)
	}
}

func (s *Service) doorList() []Door {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Door{}, s.doors...)
}
