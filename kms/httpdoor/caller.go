package httpdoor

import (
	"net"
	"net/http"

	"kmsfs/kms"
)

// maxUserAgent bounds what a client says of itself in audit records, in bytes.
const maxUserAgent = 1024

// Caller is the user of an account who sent r, whose signature was verified, through the door named via.
func Caller(r *http.Request, account, user, via string) kms.Caller {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	agent := r.UserAgent()
	return kms.Caller{
		Principal: kms.UserPrincipal(account, user), Via: via,
		SourceIP: ip, UserAgent: agent[:min(len(agent), maxUserAgent)],
	}
}
