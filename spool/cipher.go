package spool

// keyring holds what comes of Config.Key. A nil *keyring is that of a spool
// without encryption: it reads what is plain, and says ErrKey to the rest.
type keyring struct{}
