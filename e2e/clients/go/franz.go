// franz-go against a broker: every operation of the client table. Prints the JSON lines that
// e2e/clients/python/common.py describes.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const count = 300

var (
	bootstrap = flag.String("bootstrap", "", "host:port")
	prefix    = flag.String("prefix", "e2e", "what the names of topics and groups begin with")
	_         = flag.String("pg", "", "unused here")
	base      = time.Now().Unix()*1000 - 3_600_000
	ctx       = context.Background()
)

func name(what string) string { return *prefix + "-franz-" + what }

func check(fact bool, format string, values ...any) {
	if !fact {
		panic(fmt.Errorf(format, values...))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func keyOf(i int) []byte {
	if i%7 == 0 {
		return nil
	}
	return fmt.Appendf(nil, "key-%d", i%13)
}

func valueOf(i int) []byte {
	if i%11 == 0 {
		return []byte{}
	}
	if i%17 == 0 {
		value := make([]byte, 2000)
		for j := range value {
			value[j] = byte((i*31 + j*7) % 256)
		}
		return value
	}
	return fmt.Appendf(nil, `{"id": %d, "name": "n%d", "price": %v, "even": %v}`, i, i, float64(i)/4, i%2 == 0)
}

func headersOf(i int) []kgo.RecordHeader {
	if i%3 != 0 {
		return nil
	}
	return []kgo.RecordHeader{{Key: "trace", Value: fmt.Appendf(nil, "t%d", i)},
		{Key: "trace", Value: []byte{0xff, 0, byte(i)}}, {Key: "empty", Value: []byte{}}}
}

func timestampOf(i int) int64 { return base + int64(i)*10 }

func client(options ...kgo.Opt) *kgo.Client {
	options = append(options, kgo.SeedBrokers(*bootstrap), kgo.MetadataMinAge(50*time.Millisecond), kgo.FetchMaxWait(300*time.Millisecond))
	return must(kgo.NewClient(options...))
}

func until(what string, condition func() bool) {
	end := time.Now().Add(60 * time.Second)
	for !condition() {
		check(time.Now().Before(end), "%s: not within 60 s", what)
		time.Sleep(50 * time.Millisecond)
	}
}

func withAdmin(f func(*kadm.Client)) {
	c := kadm.NewClient(client())
	defer c.Close()
	f(c)
}

func create(topic string, partitions int32, configs map[string]*string) {
	withAdmin(func(a *kadm.Client) {
		must(a.CreateTopic(ctx, partitions, 1, configs, topic))
		until("the topic shows", func() bool {
			return len(must(a.ListTopics(ctx, topic))[topic].Partitions) == int(partitions)
		})
	})
}

func send(topic string, options ...kgo.Opt) {
	c := client(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))...)
	defer c.Close()
	var records []*kgo.Record
	for i := range count {
		records = append(records, &kgo.Record{Topic: topic, Key: keyOf(i), Value: valueOf(i), Headers: headersOf(i),
			Timestamp: time.UnixMilli(timestampOf(i))})
	}
	for i, result := range c.ProduceSync(ctx, records...) {
		check(result.Err == nil && result.Record.Offset == int64(i), "record %d: offset %d, %v", i, result.Record.Offset, result.Err)
	}
}

func read(c *kgo.Client, wanted int) []*kgo.Record {
	limit, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(got) < wanted {
		fetches := c.PollFetches(limit)
		check(fetches.Err() == nil, "%v after %d records", fetches.Err(), len(got))
		got = append(got, fetches.Records()...)
	}
	return got
}

func readFrom(topic string, offset int64, wanted int) []*kgo.Record {
	c := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(offset)}}))
	defer c.Close()
	return read(c, wanted)
}

func checkRecords(got []*kgo.Record) {
	check(len(got) == count, "%d records", len(got))
	for i, r := range got {
		check(r.Offset == int64(i), "record %d came with offset %d", i, r.Offset)
		check(bytes.Equal(r.Key, keyOf(i)) && (r.Key == nil) == (keyOf(i) == nil), "record %d: key %q", i, r.Key)
		check(bytes.Equal(r.Value, valueOf(i)), "record %d: value differs", i)
		check(r.Timestamp.UnixMilli() == timestampOf(i), "record %d: timestamp", i)
		wanted := headersOf(i)
		check(len(r.Headers) == len(wanted), "record %d: headers", i)
		for j, h := range wanted {
			check(r.Headers[j].Key == h.Key && bytes.Equal(r.Headers[j].Value, h.Value), "record %d: header %d", i, j)
		}
	}
}

func produce(what string, options ...kgo.Opt) func() {
	return func() {
		create(name(what), 1, nil)
		send(name(what), options...)
		checkRecords(readFrom(name(what), 0, count))
	}
}

func plain(codec kgo.CompressionCodec) []kgo.Opt {
	return []kgo.Opt{kgo.ProducerBatchCompression(codec), kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1)}
}

type member struct {
	client *kgo.Client
	owned  chan map[int32]bool
	now    map[int32]bool
}

func join(topic, group string) *member {
	m := &member{owned: make(chan map[int32]bool, 100), now: map[int32]bool{}}
	owned := map[int32]bool{}
	publish := func() {
		view := map[int32]bool{}
		for p := range owned {
			view[p] = true
		}
		m.owned <- view
	}
	change := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			for _, p := range topics[topic] {
				if has {
					owned[p] = true
				} else {
					delete(owned, p)
				}
			}
			publish()
		}
	}
	m.client = client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(300*time.Millisecond), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	return m
}

func (m *member) has(n int) bool {
	for {
		select {
		case view := <-m.owned:
			m.now = view
		default:
			return len(m.now) == n
		}
	}
}

func groupRebalance() {
	topic := name("rebalance")
	create(topic, 4, nil)
	one := join(topic, name("rebalance"))
	defer one.client.Close()
	until("one member owns all", func() bool { return one.has(4) })
	two := join(topic, name("rebalance"))
	until("two members share", func() bool { a, b := one.has(2), two.has(2); return a && b })
	for p := range one.now {
		check(!two.now[p], "partitions overlap")
	}
	two.client.Close()
	until("the one that stays owns all", func() bool { return one.has(4) })
	producer := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	for i := range 40 {
		check(producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: []byte(strconv.Itoa(i))}).FirstErr() == nil, "produce")
	}
	var values []int
	for _, r := range read(one.client, 40) {
		values = append(values, must(strconv.Atoi(string(r.Value))))
	}
	sort.Ints(values)
	for i, value := range values {
		check(i == value, "records lost or doubled by the rebalance")
	}
}

func commitResume() {
	topic, group := name("none"), name("commit")
	withAdmin(func(a *kadm.Client) {
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 120, LeaderEpoch: -1, Metadata: "half way"})
		check(a.CommitAllOffsets(ctx, group, offsets) == nil, "commit")
		stored := must(a.FetchOffsets(ctx, group))[topic][0]
		check(stored.At == 120 && stored.Metadata == "half way", "committed %v", stored)
	})
	m := join(topic, group)
	defer m.client.Close()
	check(read(m.client, count-120)[0].Offset == 120, "did not resume at 120")
}

func seekTime() {
	topic := name("none")
	withAdmin(func(a *kadm.Client) {
		for _, wanted := range [][2]int64{{timestampOf(100), 100}, {timestampOf(100) - 3, 100}, {timestampOf(0) - 1, 0}} {
			found := must(a.ListOffsetsAfterMilli(ctx, wanted[0], topic))[topic][0]
			check(found.Err == nil && found.Offset == wanted[1], "time %d gave %d", wanted[0], found.Offset)
		}
		check(must(a.ListStartOffsets(ctx, topic))[topic][0].Offset == 0, "start offset")
		check(must(a.ListEndOffsets(ctx, topic))[topic][0].Offset == count, "end offset")
		check(must(a.ListMaxTimestampOffsets(ctx, topic))[topic][0].Offset == count-1, "offset of the largest timestamp")
	})
	check(readFrom(topic, 100, 1)[0].Offset == 100, "a fetch inside a batch")
}

func topics() {
	topic := name("topics")
	create(topic, 3, nil)
	withAdmin(func(a *kadm.Client) {
		check(must(a.ListTopics(ctx)).Has(topic), "the topic is not listed")
		_, err := a.CreateTopic(ctx, 3, 1, nil, topic)
		check(errors.Is(err, kerr.TopicAlreadyExists), "created twice: %v", err)
		must(a.DeleteTopic(ctx, topic))
		until("the topic is gone", func() bool { return !must(a.ListTopics(ctx)).Has(topic) })
	})
}

func configs() {
	topic := name("configs")
	retention := "3600000"
	create(topic, 1, map[string]*string{"retention.ms": &retention})
	withAdmin(func(a *kadm.Client) {
		described := func() map[string]string {
			all := map[string]string{}
			resource := must(must(a.DescribeTopicConfigs(ctx, topic)).On(topic, nil))
			check(resource.Err == nil, "%v", resource.Err)
			for _, c := range resource.Configs {
				all[c.Key] = c.MaybeValue()
			}
			return all
		}
		check(described()["retention.ms"] == retention, "retention.ms")
		check(described()["cleanup.policy"] == "delete", "cleanup.policy")
		bytesMax := "54321"
		changed := must(a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &bytesMax},
			{Op: kadm.DeleteConfig, Name: "retention.ms"}}, topic))
		check(changed[0].Err == nil, "%v", changed[0].Err)
		until("the change shows", func() bool { return described()["max.message.bytes"] == bytesMax })
		check(described()["retention.ms"] != retention, "a deleted key keeps its value")
	})
}

func partitions() {
	topic := name("partitions")
	create(topic, 1, nil)
	withAdmin(func(a *kadm.Client) {
		check(must(a.UpdatePartitions(ctx, 3, topic))[topic].Err == nil, "no partitions were added")
		until("three partitions", func() bool { return len(must(a.ListTopics(ctx, topic))[topic].Partitions) == 3 })
		err := must(a.UpdatePartitions(ctx, 2, topic))[topic].Err
		check(errors.Is(err, kerr.InvalidPartitions), "partitions were taken away: %v", err)
	})
}

func deleteRecords() {
	topic := name("gzip")
	withAdmin(func(a *kadm.Client) {
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 50})
		check(must(a.DeleteRecords(ctx, offsets))[topic][0].LowWatermark == 50, "low watermark")
		check(must(a.ListStartOffsets(ctx, topic))[topic][0].Offset == 50, "start offset")
	})
	check(readFrom(topic, 50, count-50)[0].Offset == 50, "the first record left")
}

func groups() {
	topic, group := name("none"), name("groups")
	m := join(topic, group)
	read(m.client, 1)
	withAdmin(func(a *kadm.Client) {
		_, listed := must(a.ListGroups(ctx))[group]
		check(listed, "the group is not listed")
		description := must(a.DescribeGroups(ctx, group))[group]
		check(description.State == "Stable" && len(description.Members) == 1, "%s", description.State)
		_, err := a.DeleteGroup(ctx, group)
		check(errors.Is(err, kerr.NonEmptyGroup), "a group with members was deleted: %v", err)
		m.client.Close()
		must(a.DeleteGroup(ctx, group))
		_, listed = must(a.ListGroups(ctx))[group]
		check(!listed, "a deleted group is listed")
	})
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == "github.com/twmb/franz-go" {
			return dependency.Version[1:]
		}
	}
	return "unknown"
}

func run(operation func()) (result, detail string) {
	defer func() {
		if problem := recover(); problem != nil {
			result, detail = "failed", fmt.Sprint(problem)
		}
	}()
	operation()
	return "ok", ""
}

func main() {
	flag.Parse()
	out := json.NewEncoder(os.Stdout)
	must(0, out.Encode(map[string]string{"client": "franz-go", "version": version()}))
	code := 0
	for _, operation := range []struct {
		name string
		run  func()
	}{
		{"produce none", produce("none", plain(kgo.NoCompression())...)}, {"produce gzip", produce("gzip", plain(kgo.GzipCompression())...)},
		{"produce snappy", produce("snappy", plain(kgo.SnappyCompression())...)}, {"produce lz4", produce("lz4", plain(kgo.Lz4Compression())...)},
		{"produce zstd", produce("zstd", plain(kgo.ZstdCompression())...)}, {"idempotent", produce("idempotent")},
		{"group rebalance", groupRebalance}, {"commit resume", commitResume}, {"seek time", seekTime}, {"topics", topics},
		{"configs", configs}, {"partitions", partitions}, {"delete records", deleteRecords}, {"groups", groups},
	} {
		start := time.Now()
		result, detail := run(operation.run)
		if result == "failed" {
			code = 1
		}
		must(0, out.Encode(map[string]any{"operation": operation.name, "result": result, "detail": detail, "ms": time.Since(start).Milliseconds()}))
	}
	os.Exit(code)
}
