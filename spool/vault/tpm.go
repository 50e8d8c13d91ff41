package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	keyfile "github.com/foxboron/go-tpm-keyfiles"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// sealTPM gives key to the TPM at path and returns what only that one opens, in
// the form of a TSS2 PRIVATE KEY (DER) that other tools can read.
func sealTPM(path string, key []byte) (blob []byte, err error) {
	err = withSRK(path, func(t transport.TPMCloser, srk *tpm2.AuthHandle, s *keyfile.TPMSession) error {
		made, err := tpm2.Create{ParentHandle: srk, InSensitive: sensitive(key), InPublic: sealedObject}.Execute(t, s.GetHMACIn())
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		blob = keyfile.Marshal(keyfile.NewTPMKey(keyfile.OIDSealedKey, made.OutPublic, made.OutPrivate,
			keyfile.WithParent(tpm2.TPMRHOwner), keyfile.WithUserAuth(nil), keyfile.WithDescription("edged spool key")))
		return nil
	})
	return blob, err
}

func sensitive(key []byte) tpm2.TPM2BSensitiveCreate {
	return tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
		Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: key})}}
}

// sealedObject has no policy: PCRs change with each update of firmware or kernel,
// and an appliance nobody can visit must start again after it. NoDA: wrong guesses
// elsewhere must not lock it.
var sealedObject = tpm2.New2B(tpm2.TPMTPublic{
	Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: true},
})

// unsealTPM is the way back. ErrTPM when there is a TPM, but not the right one.
func unsealTPM(path string, k *sealedKey) (key []byte, err error) {
	blob, err := parseBlob(k.blob)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	err = withSRK(path, func(t transport.TPMCloser, srk *tpm2.AuthHandle, s *keyfile.TPMSession) error {
		h, err := keyfile.LoadKeyWithParent(s, *srk, blob)
		if err != nil {
			return fmt.Errorf("%w (%w)", ErrTPM, err)
		}
		defer flush(t, h.Handle)
		out, err := tpm2.Unseal{ItemHandle: h}.Execute(t, s.GetHMACOut())
		if err != nil {
			return fmt.Errorf("%w (%w)", ErrTPM, err)
		}
		key = out.OutData.Buffer
		return nil
	})
	if err == nil && (len(key) != keySize || keyID(key) != k.id) {
		return nil, fmt.Errorf("%w (it gave another key)", ErrTPM)
	}
	return key, err
}

// parseBlob does not let a panic in the decoder of a file's bytes end the program.
func parseBlob(der []byte) (k *keyfile.TPMKey, err error) {
	defer func() {
		if r := recover(); r != nil {
			k, err = nil, fmt.Errorf("sealed key: %v", r)
		}
	}()
	if k, err = keyfile.Parse(der); err != nil {
		return nil, fmt.Errorf("sealed key: %w", err)
	}
	if !k.Keytype.Equal(keyfile.OIDSealedKey) {
		return nil, errors.New("sealed key: it is a key of another kind")
	}
	return k, nil
}

// withSRK makes the storage root key, which is the same each time, and a session
// salted to it: what goes over the bus is encrypted.
func withSRK(path string, do func(transport.TPMCloser, *tpm2.AuthHandle, *keyfile.TPMSession) error) error {
	t, err := openTPM(path)
	if err != nil {
		return fmt.Errorf("%w: %w: is the TPM switched on, and may this user open %s?", ErrNoTPM, err, path)
	}
	defer t.Close()
	s := keyfile.NewTPMSession(t)
	srk, public, err := keyfile.CreateSRK(s, tpm2.TPMRHOwner, nil)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoTPM, path, err)
	}
	defer flush(t, srk.Handle)
	s.SetSalted(srk.Handle, *public)
	return do(t, srk, s)
}

// flush frees one of the TPM's three places. The resource manager of the kernel
// does it at Close; a socket has none.
func flush(t transport.TPM, h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(t) // nothing depends on it but the place
}

func openTPM(path string) (transport.TPMCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return linuxtpm.Open(path)
	}
	conn, err := net.DialTimeout("unix", path, socketTimeout)
	if err != nil {
		return nil, err
	}
	return socketTPM{conn}, nil
}

// socketTPM is a TPM behind a unix socket, as that of a virtual machine.
type socketTPM struct{ net.Conn }

const (
	socketTimeout = 30 * time.Second // for one command; making a key takes long
	maxAnswer     = 4096             // the greatest response of a TPM
)

// Send writes one command and reads one answer: tag u16, size u32 of all of it,
// code u32, and the rest (TPM 2.0 part 1, 18).
func (s socketTPM) Send(command []byte) ([]byte, error) {
	if err := s.SetDeadline(time.Now().Add(socketTimeout)); err != nil {
		return nil, err
	}
	if _, err := s.Write(command); err != nil {
		return nil, err
	}
	answer := make([]byte, maxAnswer)
	if _, err := io.ReadFull(s, answer[:10]); err != nil {
		return nil, fmt.Errorf("no answer of the TPM: %w", err)
	}
	size := binary.BigEndian.Uint32(answer[2:6])
	if size < 10 || size > maxAnswer {
		return nil, fmt.Errorf("the TPM's answer has %d bytes", size)
	}
	if _, err := io.ReadFull(s, answer[10:size]); err != nil {
		return nil, fmt.Errorf("half an answer of the TPM: %w", err)
	}
	return answer[:size], nil
}
