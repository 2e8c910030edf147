package awskms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"kmsfs/kms"
)

// DefaultTimeout is how long one request may take.
const DefaultTimeout = 5 * time.Second

// idleConnections are kept open, so that calls at the same time need no new handshakes.
const idleConnections = 64

// Options sets a Provider up. What is empty is taken from where AWS's own tools look: the environment, the shared
// configuration files, the role of the machine. Credentials come from there only.
type Options struct {
	// Endpoint is the URL of the key service; empty: AWS's own of the region. Plain HTTP is for loopback addresses.
	Endpoint string
	Region   string        // of the keys, and of request signatures
	Profile  string        // of the shared configuration files
	Timeout  time.Duration // of one request; 0: [DefaultTimeout]
}

// Provider is a kms.Backend. It may be used concurrently, and holds nothing that has to be closed.
type Provider struct {
	client  *sdk.Client
	region  string
	where   string // the endpoint, for messages
	timeout time.Duration
}

var _ kms.Backend = (*Provider)(nil)

// Open reads the configuration. It makes no request: a key service that is away is an error of the first use.
func Open(ctx context.Context, o Options) (*Provider, error) {
	cfg, err := config.LoadDefaultConfig(ctx, o.load()...)
	if err != nil {
		return nil, fmt.Errorf("open the key service: read the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("open the key service: no region is known; set region, or AWS_REGION in the environment")
	}
	if cfg.Credentials != nil {
		cfg.Credentials = credentials{cfg.Credentials}
	}
	client := sdk.NewFromConfig(cfg, func(s *sdk.Options) {
		if o.Endpoint != "" {
			s.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	endpoint := aws.ToString(client.Options().BaseEndpoint) // which the environment may have named
	if err := checkEndpoint(endpoint); err != nil {
		return nil, fmt.Errorf("open the key service: %w", err)
	}
	return &Provider{client: client, region: cfg.Region, where: cmp.Or(endpoint, "AWS KMS in "+cfg.Region), timeout: cmp.Or(o.Timeout, DefaultTimeout)}, nil
}

// load is how the SDK is told.
func (o Options) load() []func(*config.LoadOptions) error {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = idleConnections
	})
	all := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if o.Region != "" {
		all = append(all, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		all = append(all, config.WithSharedConfigProfile(o.Profile))
	}
	return all
}

// checkEndpoint refuses plain HTTP to another machine: data keys would be readable on the network.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is no endpoint; write https://HOST or https://HOST:PORT", endpoint)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && !(ip != nil && ip.IsLoopback()) {
		return fmt.Errorf("%s would send data keys readable over the network; write https://", endpoint)
	}
	return nil
}

// Region is the region of the keys.
func (p *Provider) Region() string { return p.region }

// Where names the key service in messages: its endpoint.
func (p *Provider) Where() string { return p.where }

// Access is kms.Policies'. The remote service decides, so it is nil.
func (p *Provider) Access(ctx context.Context, _ string, _ []byte) (*kms.Access, error) {
	return nil, ctx.Err()
}

// method is an operation of the SDK's client.
type method[In, Out any] func(context.Context, *In, ...func(*sdk.Options)) (*Out, error)

// call makes one request.
func call[In, Out any](ctx context.Context, p *Provider, do method[In, Out], in *In) (*Out, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	request, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	out, err := do(request, in)
	if err != nil {
		return nil, p.refusal(ctx, err)
	}
	return out, nil
}

// done is call for an operation that answers nothing.
func done[In, Out any](ctx context.Context, p *Provider, do method[In, Out], in *In) error {
	_, err := call(ctx, p, do, in)
	return err
}

// optional is nil for "", which AWS refuses where a value may be left out.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
