package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pause lies between two records of endToEnd, so that each finds the cluster and both clients idle.
const pause = 2 * time.Millisecond

// consumer reads every partition from its beginning.
func consumer(w *work) (*kgo.Client, error) {
	offsets := map[int32]kgo.Offset{}
	for partition := range w.partitions {
		offsets[int32(partition)] = kgo.NewOffset().AtStart()
	}
	return kgo.NewClient(
		kgo.SeedBrokers(strings.Split(w.brokers, ",")...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.topic: offsets}),
	)
}

// fetch checks that every record comes, once and in order.
func fetch(ctx context.Context, w *work) (uint64, error) {
	client, err := consumer(w)
	if err != nil {
		return 0, err
	}
	var records, bytes uint64
	next := make([]int64, w.partitions)
	var gap error
	hold := time.Duration(w.holdMs) * time.Millisecond
	for records < w.records {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			records++
			bytes += uint64(len(record.Value))
			if expected := next[record.Partition]; record.Offset != expected && gap == nil {
				gap = fmt.Errorf("partition %d: offset %d came instead of %d", record.Partition, record.Offset, expected)
			}
			next[record.Partition] = record.Offset + 1
		})
		time.Sleep(hold)
		hold = 0
	}
	if gap != nil {
		return 0, gap
	}
	if records != w.records || bytes != w.records*uint64(w.size) {
		return 0, fmt.Errorf("%d records with %d bytes came instead of %d of %d bytes each", records, bytes, w.records, w.size)
	}
	return records, nil
}

type arrival struct {
	at     time.Time
	offset int64
	err    error
}

// endToEnd times each record from being sent until a consumer in another goroutine has it.
func endToEnd(ctx context.Context, w *work, pool [][]byte) ([]int64, error) {
	sender, err := producer(w, 0, true)
	if err != nil {
		return nil, err
	}
	reader, err := consumer(w)
	if err != nil {
		return nil, err
	}
	arrivals := make(chan arrival, 16)
	go func() {
		for {
			fetches := reader.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				arrivals <- arrival{err: err}
				return
			}
			fetches.EachRecord(func(record *kgo.Record) {
				arrivals <- arrival{at: time.Now(), offset: record.Offset}
			})
		}
	}()
	acknowledged := make(chan error, 1)
	var latencies []int64
	for i := uint64(0); i < w.records; i++ {
		time.Sleep(pause)
		start := time.Now()
		sender.Produce(ctx, &kgo.Record{Value: pool[i%payloads]}, func(_ *kgo.Record, err error) { acknowledged <- err })
		arrived := <-arrivals
		if arrived.err != nil {
			return nil, arrived.err
		}
		if arrived.offset != int64(i) {
			return nil, fmt.Errorf("offset %d came instead of %d", arrived.offset, i)
		}
		if err := <-acknowledged; err != nil {
			return nil, err
		}
		// The first tenth warms up.
		if i >= w.records/10 {
			latencies = append(latencies, arrived.at.Sub(start).Microseconds())
		}
	}
	return latencies, nil
}

// groupStart times consumers, each alone in a new group, until they are handed their first record.
func groupStart(ctx context.Context, w *work) ([]int64, error) {
	var latencies []int64
	for i := uint64(0); i < w.records; i++ {
		start := time.Now()
		client, err := kgo.NewClient(
			kgo.SeedBrokers(strings.Split(w.brokers, ",")...), kgo.ConsumeTopics(w.topic),
			kgo.ConsumerGroup(fmt.Sprintf("peers-%d-%d", os.Getpid(), i)),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		)
		if err != nil {
			return nil, err
		}
		for records := 0; records == 0; {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return nil, err
			}
			records = fetches.NumRecords()
		}
		if i >= w.records/10 {
			latencies = append(latencies, time.Since(start).Microseconds())
		}
		client.Close()
	}
	return latencies, nil
}
