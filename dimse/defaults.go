package dimse

// WithDefaults is the configuration as NewServer will use it: every zero value
// replaced by what its comment says.
func (c ServerConfig) WithDefaults() ServerConfig {
	c.setDefaults()
	return c
}

// WithDefaults is the configuration as Dial will use it.
func (c ClientConfig) WithDefaults() ClientConfig {
	c.setDefaults()
	return c
}
