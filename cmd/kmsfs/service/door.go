package service

import (
	"context"
	"slices"
	"time"
)

// Doors opens the network doors of a daemon.
type Doors interface {
	// OpenKMS listens for AWS KMS's protocol on addr and answers from then on.
	OpenKMS(addr string) (Door, error)
	// Close closes all doors; requests that are being answered get until ctx is done.
	Close(ctx context.Context)
}

// Door is an open door of the daemon.
type Door struct {
	Protocol string    `json:"protocol"` // kms
	Address  string    `json:"address"`  // as it was asked for
	URL      string    `json:"url"`      // for clients on this machine
	CAFile   string    `json:"ca_file,omitempty"`
	Since    time.Time `json:"since"`
}

// ServeRequest asks for a KMS door at an address: HOST:PORT, with http:// or https:// before it or not.
type ServeRequest struct {
	KMS  string
	Stay bool // the daemon stays without a mount, until [API.ServeStop]
}

// ServeStopped says whether the daemon ends, because it has no mount either.
type ServeStopped struct{ Last bool }

// Serve opens a door. One that is open at that address already is answered.
func (s *Service) Serve(_ context.Context, r ServeRequest) (Door, error) {
	if s.Doors == nil {
		return Door{}, &Error{Code: NotDaemon, Message: "this process does not stay to serve a door"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return Door{}, &Error{Code: Closing, Message: "the daemon is about to end"}
	}
	i := slices.IndexFunc(s.doors, func(d Door) bool { return d.Address == r.KMS })
	if i < 0 {
		d, err := s.Doors.OpenKMS(r.KMS)
		if err != nil {
			return Door{}, &Error{Code: BadDoor, Message: err.Error()}
		}
		s.Logger.Info("door opened", "protocol", d.Protocol, "url", d.URL)
		s.doors = append(s.doors, d)
		i = len(s.doors) - 1
	}
	s.stay = s.stay || r.Stay
	return s.doors[i], nil
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
