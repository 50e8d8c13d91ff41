package receive

// carousel gives each of many a turn after the other: who has brought much waits for
// no turn less than who has brought one thing. What one has brought keeps its order.
// Its owner guards it.
type carousel[T any] struct {
	turns []string // who has something, in the order of their turns
	of    map[string][]T
	n     int
}

func (c *carousel[T]) add(who string, item T) {
	if c.of == nil {
		c.of = map[string][]T{}
	}
	if len(c.of[who]) == 0 {
		c.turns = append(c.turns, who)
	}
	c.of[who] = append(c.of[who], item)
	c.n++
}

// take returns false when there is nothing.
func (c *carousel[T]) take() (item T, ok bool) {
	if len(c.turns) == 0 {
		return item, false
	}
	who := c.turns[0]
	c.turns = c.turns[1:]
	list := c.of[who]
	item = list[0]
	c.n--
	if len(list) == 1 {
		delete(c.of, who)
		return item, true
	}
	var none T
	list[0] = none
	c.of[who] = list[1:]
	c.turns = append(c.turns, who)
	return item, true
}

// remove takes out what drop says of one's own.
func (c *carousel[T]) remove(who string, drop func(T) bool) {
	list := c.of[who]
	if len(list) == 0 {
		return
	}
	var kept []T
	for _, item := range list {
		if !drop(item) {
			kept = append(kept, item)
		}
	}
	c.n -= len(list) - len(kept)
	if c.of[who] = kept; len(kept) > 0 {
		return
	}
	delete(c.of, who)
	for i, other := range c.turns {
		if other == who {
			c.turns = append(c.turns[:i:i], c.turns[i+1:]...)
			return
		}
	}
}
