//! The servers start, keep what they should, and the proxy cuts.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use verbatim_servers::{MariaDb, Postgres, Proxy, Redis, RedisCluster};

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn postgres_keeps_what_was_committed_when_killed() {
    let mut server = Postgres::start();
    server.create_database("chat");
    assert!(server.psql("chat", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)").status.success());
    server.kill_9();
    assert!(!server.psql("chat", "SELECT n FROM t").status.success());
    server.start_again();
    assert_eq!(text(&server.psql("chat", "SELECT n FROM t")), "7");
    server.stop();
    server.start_again();
    assert_eq!(text(&server.psql("chat", "SELECT n FROM t")), "7");
}

#[test]
fn mariadb_keeps_what_was_committed_when_killed() {
    let mut server = MariaDb::start();
    server.create_database("chat");
    assert!(server.sql("chat", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)").status.success());
    server.kill_9();
    server.start_again();
    assert_eq!(text(&server.sql("chat", "SELECT n FROM t")), "7");
}

#[test]
fn redis_keeps_data_only_when_told_to() {
    for (mut server, kept) in [(Redis::start(), ""), (Redis::persistent(), "7")] {
        assert_eq!(server.cli(&["SET", "n", "7"]).trim(), "OK");
        server.kill_9();
        server.start_again();
        assert_eq!(server.cli(&["GET", "n"]).trim(), kept);
    }
}

#[test]
fn a_redis_cluster_forms() {
    let mut cluster = RedisCluster::start();
    let slots = cluster.nodes()[0].cli(&["CLUSTER", "SHARDS"]);
    assert_eq!(slots.matches("master").count(), 3);
}

#[test]
fn a_cut_line_is_silent_until_it_is_healed() {
    let server = Redis::start();
    let proxy = Proxy::start(server.port());
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let mut answer = [0; 7];
    client.write_all(b"PING\r\n").unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");

    proxy.cut();
    client.write_all(b"PING\r\n").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let silence = client.read(&mut answer).unwrap_err();
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    let mut late = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    late.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    late.write_all(b"PING\r\n").unwrap();
    assert!(late.read(&mut answer).is_err());

    proxy.heal();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");

    proxy.sever();
    assert_eq!(client.read(&mut answer).unwrap(), 0);
}
