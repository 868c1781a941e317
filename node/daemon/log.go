package daemon

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"conclave/node/config"
)

// NewLogger writes one line for each event: JSON for machines, or words for a person at a terminal. Keys are snake_case.
func NewLogger(to io.Writer, level config.LogLevel, words bool) *zap.Logger {
	cfg := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "room", MessageKey: "event",
		EncodeTime: zapcore.RFC3339NanoTimeEncoder, EncodeLevel: zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder, EncodeName: zapcore.FullNameEncoder,
	}
	enc := zapcore.NewJSONEncoder(cfg)
	if words {
		cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc = zapcore.NewConsoleEncoder(cfg)
	}
	at, err := zapcore.ParseLevel(string(level))
	if err != nil {
		at = zapcore.InfoLevel // the configuration was validated; a caller without one gets the default
	}
	return zap.New(zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(to)), at))
}
