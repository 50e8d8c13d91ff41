package main

import "context"

func load(ctx context.Context, o options) (bool, error) { return false, nil }
