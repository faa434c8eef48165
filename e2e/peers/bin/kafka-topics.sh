#!/usr/bin/env bash
# kafka-topics of Apache Kafka's distribution, from the jars that e2e/tools.sh installed: tests of librdkafka that make a
# topic with settings start it as $KAFKA_PATH/bin/kafka-topics.sh.
set -euo pipefail
cache=${LUMADB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lumadb}
exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$cache/e2e/java/lib/*" org.apache.kafka.tools.TopicCommand "$@"
