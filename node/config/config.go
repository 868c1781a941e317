package config

import (
	"fmt"
	"time"
)

// Config is config.toml. Each field's doc tag becomes the comment in the file and the row in docs/config.md.
type Config struct {
	Node   Node   `toml:"node" doc:"This node, and where its files are."`
	Relay  Relay  `toml:"relay" doc:"Where the Relay's log comes from."`
	P2P    P2P    `toml:"p2p" doc:"The wire between members."`
	TSS    TSS    `toml:"tss" doc:"Signing together."`
	Vault  Vault  `toml:"vault" doc:"The sealed key shares."`
	API    API    `toml:"api" doc:"What this node answers to its operator."`
	Risk   Risk   `toml:"risk" doc:"Rules of this operator's own, on top of the committee's policy."`
	Alerts Alerts `toml:"alerts" doc:"How this node calls for people; docs/alerts.md lists what for."`
	Lanes  []Lane `toml:"lane" doc:"One [[lane]] for each lane of the genesis document: this node's own view of that chain."`

	home string // set by Load
}

// Node is the section [node].
type Node struct {
	Name        string   `toml:"name" doc:"What this node calls itself in logs and status."`
	KeyFile     string   `toml:"key_file" doc:"The identity: signs statements and is the libp2p key. 64 hex digits, mode 0600."`
	GenesisFile string   `toml:"genesis_file" doc:"The genesis document that this node joined."`
	DataDir     string   `toml:"data_dir" doc:"Folder of the books (ledger.db) and of the vote record."`
	LogLevel    LogLevel `toml:"log_level" doc:"debug, info, warn or error."`
}

// Relay is the section [relay].
type Relay struct {
	URL     string   `toml:"url" required:"true" doc:"The Relay's base URL, http or https."`
	KeyFile string   `toml:"key_file" doc:"The API key that signs requests; it moves no money. 64 hex digits, mode 0600."`
	Poll    Duration `toml:"poll" doc:"How often the log is read when nothing new came."`
	Auth    string   `toml:"auth" doc:"How the Relay knows this node: \"key\", by the API key."`
}

// P2P is the section [p2p].
type P2P struct {
	Listen           []string `toml:"listen" doc:"Multiaddrs to listen on, TCP."`
	ThrottleDuration Duration `toml:"throttle_duration" doc:"The window in which one peer's messages are counted."`
	ThrottleMax      int      `toml:"throttle_max" doc:"Messages of one peer in a window, those it forwards included; what comes on top is dropped."`
	Fanout           int      `toml:"fanout" doc:"To how many members gossip is passed on directly."`
}

// TSS is the section [tss].
type TSS struct {
	RoundTimeout Duration `toml:"round_timeout" doc:"How long a signing round waits for a silent member."`
}

// Vault is the section [vault].
type Vault struct {
	Dir          string `toml:"dir" doc:"Folder of the sealed shares."`
	PasswordFile string `toml:"password_file" doc:"File with the vault's password, mode 0600, for services. Empty: give it at the start."`
}

// API is the section [api].
type API struct {
	Listen      string `toml:"listen" doc:"Host and port of JSON-RPC, health, metrics and dashboard."`
	Socket      string `toml:"socket" doc:"The unix socket for commands of this machine's operator."`
	AllowRemote bool   `toml:"allow_remote" doc:"Allow listen to be more than loopback. The API asks no password: whoever reaches it reads all."`
}

// Alerts is the section [alerts].
type Alerts struct {
	Webhook           string   `toml:"webhook" doc:"URL that every message is posted to as JSON, https, or http on loopback. It may hold a service's token. Empty: messages are logged and listed only."`
	WebhookSecretFile string   `toml:"webhook_secret_file" doc:"File with the secret that signs each body, one line of at least 16 bytes, mode 0600. Empty: bodies are not signed."`
	Heartbeat         Duration `toml:"heartbeat" doc:"How often a message says that every part of this node works. None comes while one part stands still. 0s: none is sent."`
	RemindCritical    Duration `toml:"remind_critical" doc:"When a critical alert that stands is told again; each time after twice as long."`
	RemindMost        Duration `toml:"remind_most" doc:"What that grows to."`
	RemindWarning     Duration `toml:"remind_warning" doc:"How often a warning that stands is told again."`
	PerMinute         int      `toml:"per_minute" doc:"Messages in a minute; what comes on top is counted in one summary. Half is kept for critical ones, and the first of each code always passes."`
	WithdrawalLate    Duration `toml:"withdrawal_late" doc:"How long a withdrawal may wait for its verdict or payment, or a report for the Relay, before an alert names why."`
}

// Risk is the section [risk].
type Risk struct {
	Overlay    string `toml:"overlay" doc:"File with [limits] and [max_per_event] as in a policy, none of them looser: what it holds back waits for the other nodes alone. Empty: none."`
	Settlement string `toml:"settlement" doc:"File, or http or https URL, of the signed snapshots that the policy's settlement authority gives out. Empty: none are read."`
}

// Lane is one [[lane]].
type Lane struct {
	Network   string   `toml:"network" required:"true" doc:"The lane's network name, as the genesis document spells it."`
	Endpoints []string `toml:"endpoints" required:"true" doc:"RPC URLs of that chain, http or https, at least as many as the genesis document demands, of operators that do not depend on each other."`
}

// Duration is a time.Duration that reads and writes text such as "10s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("want a duration such as \"10s\", not %q", b)
	}
	*d = Duration(v)
	return nil
}

// LogLevel is one of the four levels.
type LogLevel string

// Ports of a node that is not told otherwise.
const (
	DefaultP2PPort = 9370
	DefaultAPIPort = 9371
)

// Default returns every key's default. It does not validate: what is required has no default.
func Default() Config {
	return Config{
		Node: Node{Name: "conclave", KeyFile: "node.key", GenesisFile: "genesis.json", DataDir: "data", LogLevel: "info"},
		Relay: Relay{
			KeyFile: "relay.key",
			Poll:    Duration(2 * time.Second),
			Auth:    AuthKey,
		},
		P2P: P2P{
			Listen:           []string{fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", DefaultP2PPort)},
			ThrottleDuration: Duration(time.Second),
			ThrottleMax:      2000,
			Fanout:           6,
		},
		TSS:   TSS{RoundTimeout: Duration(10 * time.Second)},
		Vault: Vault{Dir: "vault"},
		Alerts: Alerts{
			Heartbeat: Duration(10 * time.Minute), RemindCritical: Duration(time.Hour), RemindMost: Duration(24 * time.Hour),
			RemindWarning: Duration(24 * time.Hour), PerMinute: 20, WithdrawalLate: Duration(30 * time.Minute),
		},
		API: API{Listen: fmt.Sprintf("127.0.0.1:%d", DefaultAPIPort), Socket: "conclave.sock"},
	}
}

// AuthKey is the one way of Relay authentication that exists.
const AuthKey = "key"
