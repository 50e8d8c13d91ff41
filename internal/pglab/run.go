package pglab

import "os"

// Run is a server for a tool, in a directory below dir: on a disk, or in memory.
func Run(dir string) (*Server, error) {
	bin, err := Programs()
	if err != nil {
		return nil, err
	}
	return launch(bin, dir)
}

// Create makes a database and returns its URL.
func (s *Server) Create(name string) (string, error) {
	return s.URL(name), s.Exec("CREATE DATABASE " + name)
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	s.Kill()
	return os.RemoveAll(s.dir)
}
