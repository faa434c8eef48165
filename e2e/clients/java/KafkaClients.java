// Java's kafka-clients against a broker: every operation of the client table. Run as a single source file with the jars
// of e2e/tools.sh on the class path; prints the JSON lines that e2e/clients/python/common.py describes.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.AppInfoParser;

public class KafkaClients {
    static final int COUNT = 300;
    static final long BASE = System.currentTimeMillis() / 1000 * 1000 - 3_600_000;
    static String bootstrap, prefix = "e2e";
    static Admin admin;

    interface Operation { void run() throws Exception; }

    static void check(boolean fact, String text) { if (!fact) throw new IllegalStateException(text); }
    static String name(String what) { return prefix + "-java-" + what; }
    static byte[] utf8(String text) { return text.getBytes(StandardCharsets.UTF_8); }
    static byte[] keyOf(int i) { return i % 7 == 0 ? null : utf8("key-" + i % 13); }
    static long timestampOf(int i) { return BASE + i * 10L; }

    static byte[] valueOf(int i) {
        if (i % 11 == 0) return new byte[0];
        if (i % 17 == 0) {
            byte[] value = new byte[2000];
            for (int j = 0; j < value.length; j++) value[j] = (byte) ((i * 31 + j * 7) % 256);
            return value;
        }
        return utf8("{\"id\": " + i + ", \"name\": \"n" + i + "\", \"price\": " + i / 4.0 + ", \"even\": " + (i % 2 == 0) + "}");
    }

    static List<Header> headersOf(int i) {
        if (i % 3 != 0) return List.of();
        return List.of(new RecordHeader("trace", utf8("t" + i)), new RecordHeader("trace", new byte[] {-1, 0, (byte) i}),
            new RecordHeader("empty", new byte[0]));
    }

    static void until(String what, BooleanSupplier condition) throws Exception {
        long end = System.nanoTime() + 60_000_000_000L;
        while (!condition.getAsBoolean()) {
            check(System.nanoTime() < end, what + ": not within 60 s");
            Thread.sleep(50);
        }
    }

    static <T> T now(org.apache.kafka.common.KafkaFuture<T> future) {
        try { return future.get(); } catch (InterruptedException | ExecutionException e) { throw new RuntimeException(e); }
    }

    static void refused(Class<?> type, Operation operation) throws Exception {
        try { operation.run(); } catch (Exception error) {
            for (Throwable e = error; e != null; e = e.getCause()) if (type.isInstance(e)) return;
            throw error;
        }
        throw new IllegalStateException(type.getSimpleName() + " was expected");
    }

    static void create(String topic, int partitions, Map<String, String> configs) throws Exception {
        now(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all());
        until("the topic shows", () -> {
            try { return partitionCount(topic) == partitions; } catch (RuntimeException e) { return false; }
        });
    }

    static int partitionCount(String topic) {
        return now(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size();
    }

    static KafkaProducer<byte[], byte[]> producer(Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 5, "acks", "all"));
        config.putAll(more);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(String group) {
        return new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap, "group.id", name(group), "auto.offset.reset", "earliest",
            "enable.auto.commit", false, "session.timeout.ms", 6000, "heartbeat.interval.ms", 300),
            new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static void send(String topic, Map<String, Object> config) throws Exception {
        try (var producer = producer(config)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < COUNT; i++)
                sent.add(producer.send(new ProducerRecord<>(topic, 0, timestampOf(i), keyOf(i), valueOf(i), headersOf(i))));
            for (int i = 0; i < COUNT; i++)
                check(sent.get(i).get().offset() == i, "record " + i + " was acknowledged at " + sent.get(i).get().offset());
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count) throws Exception {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        until(count + " records", () -> {
            consumer.poll(Duration.ofMillis(200)).forEach(got::add);
            return got.size() >= count;
        });
        return got;
    }

    static void readAndCheck(String topic) throws Exception {
        try (var consumer = consumer("read")) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            consumer.seekToBeginning(consumer.assignment());
            var got = read(consumer, COUNT);
            check(got.size() == COUNT, got.size() + " records");
            for (int i = 0; i < COUNT; i++) {
                var record = got.get(i);
                check(record.offset() == i && record.timestamp() == timestampOf(i), "record " + i + ": offset or timestamp");
                check(Arrays.equals(record.key(), keyOf(i)) && Arrays.equals(record.value(), valueOf(i)), "record " + i + " differs");
                check(Arrays.asList(record.headers().toArray()).equals(headersOf(i)), "record " + i + ": headers");
            }
        }
    }

    static Operation produce(String what, Map<String, Object> config) {
        return () -> {
            create(name(what), 1, Map.of());
            send(name(what), config);
            readAndCheck(name(what));
        };
    }

    static Operation codec(String codec) {
        return produce(codec, Map.of("compression.type", codec, "enable.idempotence", false));
    }

    static void groupRebalance() throws Exception {
        String topic = name("rebalance");
        create(topic, 4, Map.of());
        try (var one = consumer("rebalance")) {
            var two = consumer("rebalance");
            Duration step = Duration.ofMillis(50);
            one.subscribe(List.of(topic));
            until("one member owns all", () -> { one.poll(step); return one.assignment().size() == 4; });
            two.subscribe(List.of(topic));
            until("two members share", () -> {
                one.poll(step);
                two.poll(step);
                return one.assignment().size() == 2 && two.assignment().size() == 2;
            });
            check(Collections.disjoint(one.assignment(), two.assignment()), "partitions overlap");
            two.close();
            until("the one that stays owns all", () -> { one.poll(step); return one.assignment().size() == 4; });
            try (var producer = producer(Map.of())) {
                for (int i = 0; i < 40; i++) producer.send(new ProducerRecord<>(topic, i % 4, null, utf8("" + i)));
            }
            TreeSet<Integer> values = new TreeSet<>();
            var got = read(one, 40);
            got.forEach(record -> values.add(Integer.parseInt(new String(record.value(), StandardCharsets.UTF_8))));
            check(got.size() == 40 && values.size() == 40, "records lost or doubled by the rebalance");
        }
    }

    static void commitResume() throws Exception {
        TopicPartition where = new TopicPartition(name("none"), 0);
        try (var first = consumer("commit")) {
            first.subscribe(List.of(where.topic()));
            read(first, COUNT);
            first.commitSync(Map.of(where, new OffsetAndMetadata(120, "half way")));
        }
        try (var second = consumer("commit")) {
            OffsetAndMetadata stored = second.committed(Set.of(where)).get(where);
            check(stored.offset() == 120 && stored.metadata().equals("half way"), "committed " + stored);
            second.subscribe(List.of(where.topic()));
            check(read(second, COUNT - 120).get(0).offset() == 120, "did not resume at 120");
        }
    }

    static void seekTime() throws Exception {
        TopicPartition where = new TopicPartition(name("none"), 0);
        try (var consumer = consumer("seek")) {
            long[][] wanted = {{timestampOf(100), 100}, {timestampOf(100) - 3, 100}, {timestampOf(0) - 1, 0}};
            for (long[] pair : wanted) {
                var found = consumer.offsetsForTimes(Map.of(where, pair[0])).get(where);
                check(found.offset() == pair[1], "time " + pair[0] + " gave " + found.offset());
            }
            check(consumer.offsetsForTimes(Map.of(where, timestampOf(COUNT))).get(where) == null, "a time after the last record");
            check(consumer.endOffsets(List.of(where)).get(where) == COUNT, "end offset");
            consumer.assign(List.of(where));
            consumer.seek(where, 100);
            check(read(consumer, 1).get(0).offset() == 100, "a fetch inside a batch");
        }
        long latest = now(admin.listOffsets(Map.of(where, OffsetSpec.maxTimestamp())).partitionResult(where)).offset();
        check(latest == COUNT - 1, "offset of the largest timestamp: " + latest);
    }

    static void topics() throws Exception {
        String topic = name("topics");
        create(topic, 3, Map.of());
        check(now(admin.listTopics().names()).contains(topic), "the topic is not listed");
        refused(TopicExistsException.class, () -> create(topic, 3, Map.of()));
        now(admin.deleteTopics(List.of(topic)).all());
        until("the topic is gone", () -> !now(admin.listTopics().names()).contains(topic));
    }

    static void configs() throws Exception {
        String topic = name("configs");
        create(topic, 1, Map.of("retention.ms", "3600000"));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var config = now(admin.describeConfigs(List.of(resource)).all()).get(resource);
        check(config.get("retention.ms").value().equals("3600000"), "retention.ms");
        check(config.get("retention.ms").source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
        check(config.get("cleanup.policy").isDefault() && config.get("cleanup.policy").value().equals("delete"), "cleanup.policy");
        now(admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("max.message.bytes", "54321"), AlterConfigOp.OpType.SET),
            new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE)))).all());
        until("the change shows", () -> now(admin.describeConfigs(List.of(resource)).all()).get(resource)
            .get("max.message.bytes").value().equals("54321"));
        refused(RecordTooLargeException.class, () -> {
            try (var producer = producer(Map.of())) { producer.send(new ProducerRecord<>(topic, new byte[60_000])).get(); }
        });
    }

    static void partitions() throws Exception {
        String topic = name("partitions");
        create(topic, 1, Map.of());
        now(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
        until("three partitions", () -> partitionCount(topic) == 3);
        refused(InvalidPartitionsException.class, () -> now(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all()));
    }

    static void deleteRecords() throws Exception {
        TopicPartition where = new TopicPartition(name("gzip"), 0);
        long low = now(admin.deleteRecords(Map.of(where, RecordsToDelete.beforeOffset(50))).lowWatermarks().get(where)).lowWatermark();
        check(low == 50, "low watermark " + low);
        try (var consumer = consumer("deleted")) {
            consumer.assign(List.of(where));
            check(read(consumer, COUNT - 50).get(0).offset() == 50, "the first record left");
        }
    }

    static void groups() throws Exception {
        String group = name("groups");
        try (var consumer = consumer("groups")) {
            consumer.subscribe(List.of(name("none")));
            read(consumer, 1);
            consumer.commitSync();
            check(now(admin.listGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)), "the group is not listed");
            var description = now(admin.describeConsumerGroups(List.of(group)).all()).get(group);
            check(description.members().size() == 1, "members " + description.members());
            check(description.groupState() == org.apache.kafka.common.GroupState.STABLE, "state " + description.groupState());
            refused(GroupNotEmptyException.class, () -> now(admin.deleteConsumerGroups(List.of(group)).all()));
        }
        now(admin.deleteConsumerGroups(List.of(group)).all());
        check(now(admin.listGroups().all()).stream().noneMatch(g -> g.groupId().equals(group)), "a deleted group is listed");
    }

    static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.substring(0, Math.min(500, text.length())).toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    public static void main(String[] arguments) {
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            if (arguments[i].equals("--bootstrap")) bootstrap = arguments[i + 1];
            if (arguments[i].equals("--prefix")) prefix = arguments[i + 1];
        }
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
        System.out.println("{\"client\": \"kafka-clients\", \"version\": " + quoted(AppInfoParser.getVersion()) + "}");
        Map<String, Operation> operations = new LinkedHashMap<>();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) operations.put("produce " + codec, codec(codec));
        operations.put("idempotent", produce("idempotent", Map.of("enable.idempotence", true)));
        operations.put("group rebalance", KafkaClients::groupRebalance);
        operations.put("commit resume", KafkaClients::commitResume);
        operations.put("seek time", KafkaClients::seekTime);
        operations.put("topics", KafkaClients::topics);
        operations.put("configs", KafkaClients::configs);
        operations.put("partitions", KafkaClients::partitions);
        operations.put("delete records", KafkaClients::deleteRecords);
        operations.put("groups", KafkaClients::groups);
        int failed = 0;
        for (var operation : operations.entrySet()) {
            long start = System.nanoTime();
            String result = "ok", detail = "";
            try { operation.getValue().run(); } catch (Throwable error) {
                failed = 1;
                result = "failed";
                detail = error.toString();
                error.printStackTrace();
            }
            System.out.println("{\"operation\": " + quoted(operation.getKey()) + ", \"result\": " + quoted(result) + ", \"detail\": "
                + quoted(detail) + ", \"ms\": " + (System.nanoTime() - start) / 1_000_000 + "}");
        }
        System.out.flush();
        Runtime.getRuntime().halt(failed);
    }
}
