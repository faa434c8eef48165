#!/usr/bin/env bash
# Runs one real Apache Kafka node (KRaft, broker and controller in one process) on loopback: the oracle that
# the client scripts are proven against, and the baseline that the benchmarks compare with.
#
#   e2e/peers/kafka.sh start DIR [key=value ...]   starts a node with its data in DIR; prints the bootstrap address
#   e2e/peers/kafka.sh stop  DIR                   stops that node, and only that one
#
# Extra key=value pairs go to server.properties as they are, e.g. `log.flush.interval.messages=1` for a sync per
# append. Memory: KAFKA_HEAP_OPTS, by default -Xmx512m. The jars come from e2e/tools.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${LUMADB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lumadb}
jars=$cache/e2e/java/lib
start_s_max=60

die() { echo "kafka.sh: $*" >&2; exit 1; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start() {
    local dir=$1; shift
    ls "$jars"/kafka_2.13-*.jar >/dev/null 2>&1 || die "no Kafka jars in $jars: run e2e/tools.sh java"
    mkdir -p "$dir"
    local broker controller
    broker=$(free_port); controller=$(free_port)
    {
        echo "process.roles=broker,controller"
        echo "node.id=1"
        echo "controller.quorum.voters=1@127.0.0.1:$controller"
        echo "listeners=PLAINTEXT://127.0.0.1:$broker,CONTROLLER://127.0.0.1:$controller"
        echo "advertised.listeners=PLAINTEXT://127.0.0.1:$broker"
        echo "controller.listener.names=CONTROLLER"
        echo "log.dirs=$dir/data"
        echo "num.partitions=1"
        echo "offsets.topic.num.partitions=4"
        echo "offsets.topic.replication.factor=1"
        echo "transaction.state.log.num.partitions=4"
        echo "transaction.state.log.replication.factor=1"
        echo "transaction.state.log.min.isr=1"
        echo "group.initial.rebalance.delay.ms=0"
        local pair
        for pair in "$@"; do echo "$pair"; done
    } >"$dir/server.properties"
    cat >"$dir/log4j2.yaml" <<'LOG'
Configuration:
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: STDOUT}]}
LOG
    local java_run=(java ${KAFKA_HEAP_OPTS:--Xmx512m} "-Dlog4j2.configurationFile=$dir/log4j2.yaml" -cp "$jars/*")
    if [ ! -e "$dir/data/meta.properties" ]; then
        "${java_run[@]}" kafka.tools.StorageTool format -t AAAAAAAAQACAAAAAAAAAAA -c "$dir/server.properties" \
            >"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; die "formatting failed"; }
    fi
    nohup "${java_run[@]}" kafka.Kafka "$dir/server.properties" >"$dir/kafka.log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    local waited
    for waited in $(seq $((start_s_max * 5))); do
        kill -0 "$(cat "$dir/pid")" 2>/dev/null || { tail -n 20 "$dir/kafka.log" >&2; die "the node ended while starting"; }
        if python3 "$here/metadata_ready.py" 127.0.0.1 "$broker" 2>/dev/null; then
            echo "127.0.0.1:$broker"
            return
        fi
        sleep 0.2
    done
    die "not ready after $start_s_max s, see $dir/kafka.log"
}

stop() {
    local dir=$1 pid
    pid=$(cat "$dir/pid") || die "no node was started in $dir"
    kill "$pid" 2>/dev/null || return 0
    local waited
    for waited in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
}

[ $# -ge 2 ] || die "usage: kafka.sh start|stop DIR [key=value ...]"
command=$1; shift
case $command in
start | stop) "$command" "$@" ;;
*) die "unknown command '$command'" ;;
esac
