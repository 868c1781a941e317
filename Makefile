# Thin names over go commands; each line works by itself.

# Seconds of fuzzing for `make fuzz`; ALL=1 gives every target that long.
T ?= 60

.PHONY: test race lint build generate mutants reshare matrix liar fuzz fuzz-campaign e2e crash bench-sign bench-agreement campaign repeat bench-devnet bench-payout bench-idle bench-replay bench-drift contract contract-mutants gas ci

test:
	go test ./...

race:
	bash .ci/run race

lint:
	bash .ci/run gofmt vet staticcheck tidy verify

build:
	go build -o bin/ ./cmd/conclave ./cmd/devnet

# The committed documents that are made from code. Review the difference.
generate:
	go test ./node ./node/config ./node/api ./node/metrics -run 'Docs|Documentation' -update

fuzz:
	bash .ci/fuzz $(if $(ALL),all,rotate) $(T)

# What operators and fuses may do, in every state of the agreement; a day's tests hold some of it.
matrix:
	go test ./internal/scenario -run TestActionsInEveryState -scenario.matrix

# What one signer can do wrong, all of it, in committees of four and seven; half an hour. `make liar MEMBERS=4` takes minutes.
MEMBERS ?= 0
liar:
	go test ./tss -run 'TestALiar$$' -tss.liar -tss.liar.n $(MEMBERS) -v -timeout 4h

# Each rule broken once; all of them take a quarter of an hour.
mutants:
	go run ./cmd/mutants

# Every kind of member change with the real library, and every liar of a resharing; some minutes.
reshare:
	go test ./tss -run 'TestMemberChanges|TestLiarsOfAResharing' -reshare -v -timeout 60m

# Ten million executions of every target, once; hours.
fuzz-campaign:
	bash .ci/fuzz campaign 10000000

# Custodians in network namespaces, with loss and cuts between them; against a Relay and a chain that stand already, and through a
# real geth that is killed and restarted in the middle.
e2e:
	bash .ci/e2e
	bash .ci/run geth

# Custodians as processes, killed -9 at random moments under load and started again; then the chain and every home are checked. What
# the world does meanwhile: WITH="--reorgs", "--lying-endpoint", "--lost-fulfils", "--fees-triple", or several.
N ?= 200
WITHDRAWALS ?= 1000
WITH ?=
crash:
	go run ./cmd/devnet --kills $(N) --withdrawals $(WITHDRAWALS) $(WITH) --json

# What signing, making and handing over a key cost above the bare library, what a silent member costs, and how long a vault takes to
# open; 40 minutes of a machine that has nothing else to do. Each of the five can be run alone.
bench-sign:
	go run ./cmd/bench sign
	go run ./cmd/bench silent
	go run ./cmd/bench keygen
	go run ./cmd/bench reshare
	go run ./cmd/bench unseal

# schedules_rate: complete schedules of the agreement's simulator in a second, four members, one core. Then what decisions
# cost: taken over by who was away, over loopback, and with a dead leader.
bench-agreement:
	go test ./quorum/agreement -run '^$$' -bench . -benchtime 5s -cpu 1
	go run ./cmd/bench agreement

# Many schedules with new seeds: `make campaign SCHEDULES=1000000 TWINS=1075656 SEED=0`. Hours; CORES says how many it may use.
SCHEDULES ?= 20000
TWINS ?= 20000
SEED ?=
campaign:
	bash .ci/campaign agreement $(SCHEDULES) $(SEED)
	bash .ci/campaign twins $(TWINS) $(SEED)

# Seeds of whole custodians, from SEED on, each played PLAYS times: each must have one trace, to the last message.
SEEDS ?= 10
PLAYS ?= 10
repeat:
	go test -tags memo ./internal/campaign -run 'TestRepeat$$' -timeout 0 -v -campaign.seed=$(or $(SEED),1) -campaign.schedules=$(SEEDS) -campaign.repeat=$(PLAYS)

bench-devnet:
	go run ./cmd/bench devnet

# What a network pays in a minute, at an even pace, and how long a withdrawal takes that comes alone; ARGS="-nodes 7", ARGS="-rate 5000",
# ARGS=-short to try it. Eight minutes at the most.
ARGS ?=
bench-payout:
	go run ./cmd/bench payout $(ARGS)

bench-idle:
	go run ./cmd/bench idle

bench-replay:
	go run ./cmd/bench replay

# False alarms and delays of the watch for slow drip, with the values of configs/policy.toml.
bench-drift:
	go run ./cmd/bench drift

# The batch contract, compiled again with the pinned compiler, which is fetched into a folder of its own; then its binding.
# Review the difference: another byte is another contract.
SOLC ?= $(or $(TMPDIR),/tmp)/conclave-solc
contract:
	mkdir -p $(SOLC) && cd $(SOLC) && npm install --silent --no-save --prefix . solc@$$(sed -n 's/.*"solc": "\(.*\)".*/\1/p' $(CURDIR)/chain/payout/settings.json)
	cd chain/payout && NODE_PATH=$(SOLC)/node_modules node compile.js
	go test ./chain/payout -run TestBinding -update
	SOLC_MODULES=$(SOLC)/node_modules go test ./chain/payout -run 'Bytecode|Binding|SameBytes' -count 1 -v

# Each rule of the contract broken once: minutes. Run `make contract` before, which fetches the compiler.
contract-mutants:
	SOLC_MODULES=$(SOLC)/node_modules go test ./chain/payout -run TestMutants -mutants -timeout 2h -v

# What a payout costs in gas, one or many in a batch.
gas:
	go test ./chain/payout -run TestGas -count 1 -v

ci:
	bash .ci/run
