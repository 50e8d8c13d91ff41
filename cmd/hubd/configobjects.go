package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"edged/hub/objects"
)

// bucket is what `objects` and `objects_credentials` say, nil when objects are files
// in data_dir. The key is the one of the two that an error is about.
func (c *Config) bucket() (b *objects.Bucket, key string, err error) {
	if c.Objects == "" {
		if c.ObjectsCredentials != "" {
			return nil, "objects_credentials", errors.New("is for a bucket, and objects is empty: leave it empty, or name the bucket")
		}
		return nil, "", nil
	}
	parsed, err := objects.ParseBucket(c.Objects)
	if err != nil {
		return nil, "objects", err
	}
	if parsed.AccessKey, parsed.SecretKey, err = c.objectsKeys(); err != nil {
		return nil, "objects_credentials", err
	}
	return &parsed, "", nil
}

// objectsKeys are from the file, or from the environment. No error repeats one.
func (c *Config) objectsKeys() (access, secret string, err error) {
	if c.ObjectsCredentials == "" {
		access, secret = os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		if access == "" || secret == "" {
			return "", "", errors.New("is empty, and so is AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY of the environment: name a file with the two keys of the bucket")
		}
		return access, secret, nil
	}
	f, err := os.Open(c.ObjectsCredentials)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	if access, secret, err = awsKeys(f); err != nil {
		return "", "", fmt.Errorf("%s: %w", c.ObjectsCredentials, err)
	}
	return access, secret, nil
}

// awsKeys reads the two keys of the profile [default], or of a file without profiles.
func awsKeys(r io.Reader) (access, secret string, err error) {
	profile := "default"
	lines := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			profile = strings.TrimSpace(strings.Trim(line, "[]"))
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return "", "", fmt.Errorf("line %d: want NAME = VALUE", n)
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "aws_access_key_id":
			access = kept(profile, access, value)
		case "aws_secret_access_key":
			secret = kept(profile, secret, value)
		}
	}
	if err := lines.Err(); err != nil {
		return "", "", err
	}
	if access == "" || secret == "" {
		return "", "", errors.New("no aws_access_key_id and aws_secret_access_key of [default]")
	}
	return access, secret, nil
}

// kept is the value of the profile that counts.
func kept(profile, old, value string) string {
	if profile != "default" {
		return old
	}
	return strings.TrimSpace(value)
}

// objectsWarnings are about what is allowed and should be known.
func (c *Config) objectsWarnings() (out []string) {
	b, _, err := c.bucket()
	if b == nil || err != nil {
		return nil
	}
	if !b.Secure && !onThisMachine(b.Endpoint) {
		out = append(out, "objects: tls=false: images go to the bucket, and come from it, in the clear")
	}
	if info, err := os.Stat(c.ObjectsCredentials); err == nil && info.Mode().Perm()&0o007 != 0 {
		out = append(out, fmt.Sprintf("objects_credentials: %s can be read by everybody on this machine: chmod 600", c.ObjectsCredentials))
	}
	return out
}

func onThisMachine(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	return err == nil && loopback(host) || err != nil && loopback(endpoint)
}
