// Java's own Kafka clients behind a pipe, so that tests ask them without starting a JVM for each question.
//
// A request is a count of arguments, then each as a blob (int length, -1 for null, bytes). The answer is any number of
// rows ('R' and the command's own fields), then 'K' for success or 'E' and a message.

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Helper {
    private static final long LIMIT_MS = 30_000;

    private static final Map<String, KafkaProducer<byte[], byte[]>> PRODUCERS = new HashMap<>();

    private static DataOutputStream out;

    public static void main(String[] ignored) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
        out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 18));
        // Logging writes to System.out and must not end up between the answers.
        System.setOut(System.err);
        while (true) {
            byte[][] args;
            try {
                args = new byte[in.readInt()][];
            } catch (EOFException e) {
                return;
            }
            for (int i = 0; i < args.length; i++) {
                int length = in.readInt();
                if (length >= 0) {
                    args[i] = in.readNBytes(length);
                }
            }
            try {
                answer(args);
                out.writeByte('K');
            } catch (Exception e) {
                Throwable cause = e instanceof ExecutionException && e.getCause() != null ? e.getCause() : e;
                out.writeByte('E');
                blob(cause.toString().getBytes(StandardCharsets.UTF_8));
            }
            out.flush();
        }
    }

    private static void answer(byte[][] args) throws Exception {
        String topic = text(args[2]);
        Properties properties = new Properties();
        properties.put("bootstrap.servers", text(args[1]));
        properties.put("request.timeout.ms", "10000");
        String command = text(args[0]);
        switch (command) {
            case "consume" -> consume(isolated(properties, args), topic);
            case "offsets" -> offsets(isolated(properties, args), topic);
            case "open" -> PRODUCERS.put(topic, producer(properties, pairs(args, 3)));
            case "send" -> send(producer(topic), args);
            case "begin" -> producer(topic).beginTransaction();
            case "commit" -> producer(topic).commitTransaction();
            case "abort" -> producer(topic).abortTransaction();
            case "send-offset" -> producer(topic).sendOffsetsToTransaction(
                Map.of(new TopicPartition(text(args[4]), number(args[5])),
                    new OffsetAndMetadata(Long.parseLong(text(args[6])))),
                new ConsumerGroupMetadata(text(args[3])));
            // At once: what is open stays so, as after a crash.
            case "forget" -> {
                KafkaProducer<byte[], byte[]> producer = producer(topic);
                PRODUCERS.remove(topic);
                producer.close(Duration.ZERO);
            }
            case "partitions" -> partitions(properties, topic, args);
            default -> {
                properties.put("default.api.timeout.ms", Long.toString(LIMIT_MS));
                try (Admin admin = Admin.create(properties)) {
                    administer(admin, command, topic, args);
                }
            }
        }
    }

    private static void administer(Admin admin, String command, String topic, byte[][] args) throws Exception {
        switch (command) {
            case "create" -> {
                NewTopic created = new NewTopic(topic, number(args[3]), (short) number(args[4]));
                created.configs(pairs(args, 5));
                admin.createTopics(List.of(created)).all().get();
            }
            case "delete" -> admin.deleteTopics(List.of(topic)).all().get();
            case "grow" -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(number(args[3])))).all().get();
            case "truncate" -> admin.deleteRecords(Map.of(new TopicPartition(topic, number(args[3])),
                RecordsToDelete.beforeOffset(Long.parseLong(text(args[4]))))).all().get();
            case "alter-topic" -> alter(admin, new ConfigResource(ConfigResource.Type.TOPIC, topic), pairs(args, 3));
            case "alter-broker" -> alter(admin, new ConfigResource(ConfigResource.Type.BROKER, topic), pairs(args, 3));
            case "move" -> move(admin, new TopicPartition(topic, number(args[3])), number(args[4]));
            default -> throw new IllegalArgumentException("unknown command " + command);
        }
    }

    private static void alter(Admin admin, ConfigResource resource, Map<String, String> changes) throws Exception {
        Collection<AlterConfigOp> operations = new ArrayList<>();
        changes.forEach((name, value) -> operations.add(new AlterConfigOp(new ConfigEntry(name, value),
            value == null ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET)));
        admin.incrementalAlterConfigs(Map.of(resource, operations)).all().get();
    }

    /** Makes a replica the first of the list, then has the first elected. */
    private static void move(Admin admin, TopicPartition partition, int node) throws Exception {
        List<Integer> replicas = new ArrayList<>();
        replicas.add(node);
        for (Node replica : admin.describeTopics(List.of(partition.topic())).allTopicNames().get()
            .get(partition.topic()).partitions().get(partition.partition()).replicas()) {
            if (replica.id() != node) {
                replicas.add(replica.id());
            }
        }
        admin.alterPartitionReassignments(Map.of(partition, Optional.of(new NewPartitionReassignment(replicas))))
            .all().get();
        long end = System.currentTimeMillis() + LIMIT_MS;
        while (!admin.listPartitionReassignments(Set.of(partition)).reassignments().get().isEmpty()) {
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException(partition + " is still being reassigned");
            }
            Thread.sleep(20);
        }
        Optional<Throwable> failed =
            admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get().get(partition);
        if (failed.isPresent() && !(failed.get() instanceof ElectionNotNeededException)) {
            throw new ExecutionException(failed.get());
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(Properties properties) {
        properties.put("default.api.timeout.ms", Long.toString(LIMIT_MS));
        properties.put("allow.auto.create.topics", "false");
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        properties.put("max.partition.fetch.bytes", Integer.toString(8 << 20));
        properties.put("max.poll.records", "10000");
        // Partitions that are read to their end must not hold up the others.
        properties.put("fetch.max.wait.ms", "20");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static Properties isolated(Properties properties, byte[][] args) {
        properties.put("isolation.level", text(args[3]));
        return properties;
    }

    private static List<TopicPartition> partitionsOf(KafkaConsumer<?, ?> consumer, String topic) {
        // A node that has just started may not know a topic that the others do.
        long end = System.nanoTime() + 15_000_000_000L;
        List<PartitionInfo> infos = consumer.partitionsFor(topic);
        while (infos == null || infos.isEmpty()) {
            if (System.nanoTime() > end) {
                throw new IllegalArgumentException("there is no topic " + topic);
            }
            Thread.onSpinWait();
            infos = consumer.partitionsFor(topic);
        }
        List<TopicPartition> partitions = new ArrayList<>();
        infos.forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
        return partitions;
    }

    private static void consume(Properties properties, String topic) throws IOException {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(properties)) {
            List<TopicPartition> partitions = partitionsOf(consumer, topic);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            Set<TopicPartition> open = new HashSet<>(partitions);
            long deadline = System.currentTimeMillis() + LIMIT_MS;
            while (true) {
                // The position, not the last record, tells the end: a log may end with a control batch.
                boolean moved = open.removeIf(partition -> consumer.position(partition) >= ends.get(partition));
                if (open.isEmpty()) {
                    return;
                }
                boolean empty = true;
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    empty = false;
                    // What was written after the question is left out, so that the answer is one moment's.
                    if (record.offset() < ends.get(new TopicPartition(topic, record.partition()))) {
                        row(record);
                    }
                }
                if (moved || !empty) {
                    deadline = System.currentTimeMillis() + LIMIT_MS;
                } else if (System.currentTimeMillis() > deadline) {
                    throw new IllegalStateException("no progress in " + open + " for " + LIMIT_MS + " ms");
                }
            }
        }
    }

    private static void row(ConsumerRecord<byte[], byte[]> record) throws IOException {
        out.writeByte('R');
        out.writeInt(record.partition());
        out.writeLong(record.offset());
        out.writeLong(record.timestamp());
        out.writeInt(record.timestampType().id);
        blob(record.key());
        blob(record.value());
        Header[] headers = record.headers().toArray();
        out.writeInt(headers.length);
        for (Header header : headers) {
            blob(header.key().getBytes(StandardCharsets.UTF_8));
            blob(header.value());
        }
    }

    private static void offsets(Properties properties, String topic) throws IOException {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(properties)) {
            List<TopicPartition> partitions = partitionsOf(consumer, topic);
            Map<TopicPartition, Long> starts = consumer.beginningOffsets(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            for (TopicPartition partition : partitions) {
                out.writeByte('R');
                out.writeInt(partition.partition());
                out.writeLong(starts.get(partition));
                out.writeLong(ends.get(partition));
            }
        }
    }

    private static void partitions(Properties properties, String topic, byte[][] args) throws Exception {
        properties.put("delivery.timeout.ms", Long.toString(LIMIT_MS));
        properties.put("max.block.ms", Long.toString(LIMIT_MS));
        properties.put("batch.size", Integer.toString(1 << 18));
        ByteArraySerializer bytes = new ByteArraySerializer();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties, bytes, bytes)) {
            for (int i = 3; i < args.length; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, args[i], null)));
            }
        }
        for (Future<RecordMetadata> one : sent) {
            int partition = one.get().partition();
            out.writeByte('R');
            out.writeInt(partition);
        }
    }

    private static KafkaProducer<byte[], byte[]> producer(Properties properties, Map<String, String> settings) {
        properties.put("delivery.timeout.ms", Long.toString(LIMIT_MS));
        properties.put("max.block.ms", Long.toString(LIMIT_MS));
        properties.putAll(settings);
        ByteArraySerializer bytes = new ByteArraySerializer();
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties, bytes, bytes);
        if (settings.containsKey("transactional.id")) {
            producer.initTransactions();
        }
        return producer;
    }

    private static KafkaProducer<byte[], byte[]> producer(String name) {
        KafkaProducer<byte[], byte[]> producer = PRODUCERS.get(name);
        if (producer == null) {
            throw new IllegalArgumentException("there is no producer " + name);
        }
        return producer;
    }

    /** Sends to topic args[3] what follows: of each record partition, timestamp, key, value, and its headers. */
    private static void send(KafkaProducer<byte[], byte[]> producer, byte[][] args) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        int at = 4;
        while (at < args.length) {
            Integer partition = args[at] == null ? null : Integer.valueOf(text(args[at]));
            Long timestamp = args[at + 1] == null ? null : Long.valueOf(text(args[at + 1]));
            ProducerRecord<byte[], byte[]> record =
                new ProducerRecord<>(text(args[3]), partition, timestamp, args[at + 2], args[at + 3]);
            int headers = number(args[at + 4]);
            at += 5;
            for (int i = 0; i < headers; i++, at += 2) {
                record.headers().add(text(args[at]), args[at + 1]);
            }
            sent.add(producer.send(record));
        }
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            RecordMetadata metadata = one.get();
            out.writeByte('R');
            out.writeInt(metadata.partition());
            out.writeLong(metadata.offset());
        }
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    private static int number(byte[] bytes) {
        return Integer.parseInt(text(bytes));
    }

    private static Map<String, String> pairs(byte[][] args, int from) {
        Map<String, String> pairs = new TreeMap<>();
        for (int i = from; i + 1 < args.length; i += 2) {
            pairs.put(text(args[i]), text(args[i + 1]));
        }
        return pairs;
    }

    private static void blob(byte[] bytes) throws IOException {
        if (bytes == null) {
            out.writeInt(-1);
            return;
        }
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private Helper() {}
}
