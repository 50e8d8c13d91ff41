package account

import "fmt"

// Role is what a person may do; each includes those below it. The zero value may
// nothing.
type Role int

// Technician looks at people's names and sends again; Administrator also changes the
// appliance and its accounts.
const (
	Technician Role = iota + 1
	Administrator
)

var roleNames = map[Role]string{Technician: "technician", Administrator: "administrator"}

// May is whether one with role r may do what needs the role needed.
func (r Role) May(needed Role) bool { return needed >= Technician && r >= needed }

func (r Role) String() string {
	if name, ok := roleNames[r]; ok {
		return name
	}
	return "nobody"
}

// ParseRole reads what String writes.
func ParseRole(s string) (Role, error) {
	for role, name := range roleNames {
		if s == name {
			return role, nil
		}
	}
	return 0, fmt.Errorf("role %q: technician or administrator", clip(s, maxName))
}

// MarshalText is for the file.
func (r Role) MarshalText() ([]byte, error) {
	if r != Technician && r != Administrator {
		return nil, fmt.Errorf("no role %d", int(r))
	}
	return []byte(r.String()), nil
}

// UnmarshalText is for the file.
func (r *Role) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRole(string(text))
	return err
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
