package objects

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Bucket is S3-compatible storage for whole objects and documents.
type Bucket struct {
	Endpoint  string // HOST:PORT, or HOST
	Region    string // If empty, us-east-1, which most servers of one's own take for any.
	Name      string
	Prefix    string // of all keys; if empty, none
	AccessKey string
	SecretKey string
	Secure    bool // TLS
}

// String names the bucket as an administrator knows it, without its keys.
func (b Bucket) String() string {
	where := "s3://" + b.Name
	if b.Prefix != "" {
		where += "/" + b.Prefix
	}
	return where + " at " + b.Endpoint
}

// GoString is String: no key reaches a log by %#v.
func (b Bucket) GoString() string { return b.String() }

// bucketName is that of S3: 3 to 63 lower-case letters, digits, dots and hyphens.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ParseBucket reads s3://BUCKET/PREFIX?endpoint=HOST:PORT&region=REGION&tls=false,
// of which BUCKET and endpoint must be there. It says nothing about keys.
func ParseBucket(text string) (Bucket, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Bucket{}, errors.New("is no URL: want s3://BUCKET/PREFIX?endpoint=HOST:PORT")
	}
	switch {
	case u.Scheme != "s3":
		return Bucket{}, fmt.Errorf("begins with %q: want s3://BUCKET/PREFIX?endpoint=HOST:PORT", u.Scheme+":")
	case u.User != nil:
		return Bucket{}, errors.New("holds keys: they belong into the file of objects_credentials, or the environment")
	case !bucketName.MatchString(u.Host):
		return Bucket{}, fmt.Errorf("%q is no name of a bucket: want 3 to 63 of a-z, 0-9, '.' and '-'", u.Host)
	}
	b := Bucket{Name: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: "us-east-1", Secure: true}
	if b.Prefix != "" && checkName(b.Prefix) != nil {
		return Bucket{}, fmt.Errorf("%q is no prefix: want segments of a-z, 0-9, '-', '_' and '.', with / between them", b.Prefix)
	}
	return b, b.query(u.Query())
}

// query takes what stands behind the question mark.
func (b *Bucket) query(q url.Values) (err error) {
	for key, values := range q {
		value := values[len(values)-1]
		switch key {
		case "endpoint":
			b.Endpoint = value
		case "region":
			b.Region = value
		case "tls":
			if b.Secure, err = strconv.ParseBool(value); err != nil {
				return fmt.Errorf("tls=%s: want true or false", value)
			}
		default:
			return fmt.Errorf("%s= is not known: want endpoint, region, tls", key)
		}
	}
	return b.checkEndpoint()
}

func (b *Bucket) checkEndpoint() error {
	host := b.Endpoint
	if h, port, err := net.SplitHostPort(b.Endpoint); err == nil {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("endpoint=%s: no port", b.Endpoint)
		}
		host = h
	}
	if host == "" || strings.ContainsAny(host, "/@ ") {
		return fmt.Errorf("endpoint=%s: want HOST:PORT of the S3 server; it is never guessed", b.Endpoint)
	}
	return nil
}
