// The same work through franz-go; prints one JSON line of figures. Its options are those of the Rust programs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	payloads = 4096
	keys     = 1000
)

// work is one piece of work; see ../src/work.rs for what the options mean.
type work struct {
	mode, brokers, topic, compression string
	partitions, replication, size     int
	records, lingerMs                 uint64
	batchSize, buffer                 int
	busy                              int
	holdMs                            uint64
	keyed, spread, noIdempotence      bool
	recv                              bool
}

func options() *work {
	w := new(work)
	flag.StringVar(&w.mode, "mode", "produce", "produce, latency, fetch, end-to-end or group-start")
	flag.StringVar(&w.brokers, "brokers", "127.0.0.1:9092", "")
	flag.StringVar(&w.topic, "topic", "bench", "")
	flag.StringVar(&w.compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	flag.IntVar(&w.partitions, "partitions", 6, "")
	flag.IntVar(&w.replication, "replication", 1, "taken and ignored: topics are made elsewhere")
	flag.IntVar(&w.size, "size", 100, "")
	flag.Uint64Var(&w.records, "records", 1_000_000, "")
	flag.Uint64Var(&w.lingerMs, "linger-ms", 5, "")
	flag.IntVar(&w.batchSize, "batch-size", 131072, "")
	flag.IntVar(&w.buffer, "buffer", 64<<20, "")
	flag.IntVar(&w.busy, "busy", 0, "taken and ignored: topics are filled by ottla")
	flag.Uint64Var(&w.holdMs, "hold-ms", 0, "")
	flag.BoolVar(&w.keyed, "keyed", false, "")
	flag.BoolVar(&w.spread, "spread", false, "")
	flag.BoolVar(&w.noIdempotence, "no-idempotence", false, "")
	flag.BoolVar(&w.recv, "recv", false, "taken and ignored: franz-go only polls")
	flag.Parse()
	return w
}

// figures has the fields of ../src/figures.rs.
type figures struct {
	Client string  `json:"client"`
	Mode   string  `json:"mode"`
	Size   int     `json:"size"`
	Comp   string  `json:"comp"`
	N      uint64  `json:"n"`
	WallS  float64 `json:"wall_s"`
	KrecS  float64 `json:"krec_s"`
	MBS    float64 `json:"MB_s"`
	UserS  float64 `json:"user_s"`
	SysS   float64 `json:"sys_s"`
	CPU    float64 `json:"cpu_us_per_rec"`
	RSS    float64 `json:"rss_MB"`
	P50    int64   `json:"p50_us"`
	P99    int64   `json:"p99_us"`
	P999   int64   `json:"p999_us"`
}

func main() {
	w := options()
	pool := make([][]byte, payloads)
	for i := range pool {
		pool[i] = payload(uint64(i), w.size)
	}
	user0, sys0, _ := usage()
	start := time.Now()
	n, latencies, err := run(w, pool)
	wall := time.Since(start).Seconds()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	user, sys, peak := usage()
	user, sys = user-user0, sys-sys0
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	quantile := func(q float64) int64 {
		if len(latencies) == 0 {
			return 0
		}
		return latencies[int(float64(len(latencies)-1)*q)]
	}
	line, err := json.Marshal(figures{
		Client: "franz-go", Mode: w.mode, Size: w.size, Comp: w.compression, N: n,
		WallS: wall, KrecS: float64(n) / wall / 1e3, MBS: float64(n) * float64(w.size) / wall / 1e6,
		UserS: user, SysS: sys, CPU: (user + sys) * 1e6 / float64(n), RSS: float64(peak) / 1024,
		P50: quantile(0.5), P99: quantile(0.99), P999: quantile(0.999),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func run(w *work, pool [][]byte) (uint64, []int64, error) {
	ctx := context.Background()
	switch w.mode {
	case "produce":
		n, err := produce(ctx, w, pool)
		return n, nil, err
	case "latency":
		latencies, err := latency(ctx, w, pool)
		return w.records, latencies, err
	case "fetch":
		n, err := fetch(ctx, w)
		return n, nil, err
	case "end-to-end":
		latencies, err := endToEnd(ctx, w, pool)
		return w.records, latencies, err
	case "group-start":
		latencies, err := groupStart(ctx, w)
		return w.records, latencies, err
	}
	return 0, nil, fmt.Errorf("unknown mode %s", w.mode)
}

func producer(w *work, linger time.Duration, manual bool) (*kgo.Client, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, known := codecs[w.compression]
	if !known {
		return nil, fmt.Errorf("unknown compression %s", w.compression)
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(w.brokers, ",")...), kgo.DefaultProduceTopic(w.topic), kgo.ProducerLinger(linger),
		kgo.ProducerBatchMaxBytes(int32(w.batchSize)), kgo.ProducerBatchCompression(codec), kgo.MaxBufferedBytes(w.buffer),
		kgo.MaxBufferedRecords(10_000_000), // the limit in bytes must be reached first
	}
	if manual {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	if w.noIdempotence {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	return kgo.NewClient(opts...)
}

func produce(ctx context.Context, w *work, pool [][]byte) (uint64, error) {
	client, err := producer(w, time.Duration(w.lingerMs)*time.Millisecond, w.spread)
	if err != nil {
		return 0, err
	}
	var acknowledged, failed atomic.Uint64
	observe := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
		} else {
			acknowledged.Add(1)
		}
	}
	for i := uint64(0); i < w.records; i++ {
		record := &kgo.Record{Value: pool[i%payloads]}
		if w.keyed {
			k := i % keys
			record.Key = []byte{0, 0, 0, 0, 0, 0, byte(k >> 8), byte(k)}
		}
		if w.spread {
			record.Partition = int32((i * 0x9E3779B97F4A7C15 >> 32) * uint64(w.partitions) >> 32)
		}
		client.Produce(ctx, record, observe)
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	if acknowledged.Load() != w.records {
		return 0, fmt.Errorf("acknowledged %d, failed %d", acknowledged.Load(), failed.Load())
	}
	return w.records, nil
}

func latency(ctx context.Context, w *work, pool [][]byte) ([]int64, error) {
	client, err := producer(w, 0, true)
	if err != nil {
		return nil, err
	}
	var latencies []int64
	for i := uint64(0); i < w.records; i++ {
		start := time.Now()
		if err := client.ProduceSync(ctx, &kgo.Record{Value: pool[i%payloads]}).FirstErr(); err != nil {
			return nil, err
		}
		// The first tenth warms up.
		if i >= w.records/10 {
			latencies = append(latencies, time.Since(start).Microseconds())
		}
	}
	return latencies, nil
}

// payload is ../src/work.rs's, byte for byte.
func payload(n uint64, size int) []byte {
	text := []byte{}
	x := n*0x9E3779B97F4A7C15 | 1
	for len(text) < size {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text = fmt.Appendf(text, "{\"id\":%d,\"ticketTypeId\":%d,\"status\":\"DONE\"}", n, x%100000)
	}
	return text[:size]
}

// usage is CPU seconds, user and system, and peak resident KiB of this process so far.
func usage() (float64, float64, int64) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(r.Utime), seconds(r.Stime), r.Maxrss
}
