# One line a target. `make demo` and `make test` set up what they need themselves.
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 1m

.PHONY: build deb demo test lint assets deps fuzz crash crash-long crash-load bench bench-hub hub-fleet bench-wan conformance interop e2e page-load sim rates kills hub-kills cluster-test flap clean

build: ; CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/ ./cmd/...
deb: build ; $(GO) run ./internal/tools/deb -version "$(VERSION)"
demo: build ; bin/edged demo $(DEMO)
test: lint build ; $(GO) run ./internal/tools/testrun
lint: ; test -z "$$(gofmt -l . | tee /dev/stderr)" && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...
assets: ; $(GO) run ./internal/tools/assets
deps: ; $(GO) test -run TestDependencyLists . -args -update
fuzz: ; $(GO) run ./internal/tools/fuzz -time $(FUZZTIME)
crash: build ; $(GO) run ./internal/tools/powercut -cuts 400 -mutants
crash-long: build ; $(GO) run ./internal/tools/powercut -cuts 10000 -seed 1000
crash-load: build ; $(GO) run ./internal/tools/powercut -load 10m
bench: build ; $(GO) run ./internal/tools/bench
bench-hub: build ; $(GO) run ./internal/tools/benchhub $(BENCHHUB)
hub-fleet: build ; $(GO) run ./internal/tools/benchhub fleet $(FLEET)
bench-wan: build ; $(GO) run ./internal/tools/wan $(WAN)
conformance: ; $(GO) run ./internal/tools/conformance
interop: build ; $(GO) run ./internal/tools/interop $(INTEROP)
e2e: build ; $(GO) run ./internal/tools/e2e $(if $(SHOTS),-shots $(SHOTS)) $(E2E)
page-load: build ; $(GO) run ./internal/tools/e2e -load $(or $(STUDIES),100000) $(if $(BEFORE),-before $(BEFORE))
kills: ; HUB_KILLS=$(or $(KILLS),200) $(GO) test -count=1 -run TestHubKilledAtManyOffsets -v -timeout 30m ./hub/receive
cluster-test: build ; $(GO) run ./internal/tools/cluster $(CLUSTER)
hub-kills: ; HUB_KILLS=$(or $(KILLS),20) $(GO) test -count=1 -run 'TestKilledAtEachStep|TestKilledAtAnyMoment($$|Over)' -v -timeout 30m ./cmd/hubd
flap: ; FLAP_FOR=10s FLAP_CYCLES=$(or $(CYCLES),30) $(GO) test -count=1 -run 'TestALineThatFlaps|TestUDP' -parallel 8 -v -timeout 60m ./hub/receive
sim: ; $(GO) run ./internal/tools/sim -from $(or $(FROM),1) -seeds $(or $(SEEDS),1000)
rates: ; UPLINK_LONG=1 $(GO) test -count=1 -run TheRateHolds -v -timeout 10m ./uplink
clean: ; rm -rf bin
