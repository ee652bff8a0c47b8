//! Which Redis it is, and connections to it.

use super::wire::{CLUSTER_PARTITIONS, Names};
use futures_util::future::try_join_all;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, Pipeline, ProtocolVersion, PushInfo, RedisError, RedisResult, Value,
    aio::{MultiplexedConnection, SendError},
    cmd, pipe,
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// The longest it may take to connect to all servers.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// The longest a server may take to answer.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Takes what a server sends on its own account; must not wait.
pub(super) type Sink = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A Redis server, or some of a Redis Cluster.
#[derive(Debug, Clone)]
pub(super) struct Servers(Vec<ConnectionInfo>);

/// Connections to Redis: one, or one to each server of a cluster that has a partition.
pub(super) struct Nodes {
    pub(super) names: Names,
    connections: Vec<MultiplexedConnection>,
    /// Which of them each partition is on.
    places: Vec<usize>,
    sharded: bool,
}

fn unsound(what: &'static str) -> RedisError {
    (ErrorKind::Parse, what).into()
}

impl Servers {
    /// Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]]…[/DATABASE]`, or `rediss://` for TLS. `+cluster` after
    /// the scheme is allowed: that it is a cluster, the server says.
    ///
    /// # Errors
    /// It is no such URL.
    pub(super) fn parse(url: &str) -> RedisResult<Self> {
        let invalid = || RedisError::from((ErrorKind::InvalidClientConfig, "not a Redis URL"));
        let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
        let scheme = scheme.strip_suffix("+cluster").unwrap_or(scheme);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).ok_or_else(invalid)?;
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let server = |host: &str| {
            let info = format!("{scheme}://{user}{host}{tail}").into_connection_info()?;
            // Answers and messages can come over one connection, so that their order says what came before what.
            let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            let tcp = info.tcp_settings().clone().set_nodelay(true);
            Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
        };
        Ok(Self(hosts.split(',').map(server).collect::<RedisResult<_>>()?))
    }

    /// The number of the database that all of them are asked for.
    pub(super) fn database(&self) -> i64 {
        self.0.first().map_or(0, |server| server.redis_settings().db())
    }

    /// Connects to the first server that answers, and to its cluster, if it is of one. With a sink, what the servers send
    /// on their own account goes there; with their disconnection as the last.
    ///
    /// # Errors
    /// No server answers, or the cluster is not whole.
    pub(super) async fn connect(&self, sink: Option<&Sink>) -> RedisResult<Nodes> {
        let mut failure = unsound("no server is named");
        for server in &self.0 {
            match timeout(CONNECT_LIMIT, connect(server, sink)).await {
                Ok(Ok(nodes)) => return Ok(nodes),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = (ErrorKind::Io, "connecting took too long").into(),
            }
        }
        Err(failure)
    }
}

async fn open(server: &ConnectionInfo, sink: Option<&Sink>) -> RedisResult<MultiplexedConnection> {
    let mut config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    if let Some(sink) = sink.cloned() {
        config = config.set_push_sender(move |push: PushInfo| -> Result<(), SendError> {
            sink(push);
            Ok(())
        });
    }
    Client::open(server.clone())?.get_multiplexed_async_connection_with_config(&config).await
}

async fn connect(server: &ConnectionInfo, sink: Option<&Sink>) -> RedisResult<Nodes> {
    let mut connection = open(server, None).await?;
    let info: String = cmd("INFO").arg("cluster").query_async(&mut connection).await?;
    let database = server.redis_settings().db();
    if !info.contains("cluster_enabled:1") {
        let names = Names { database, partitions: 1 };
        // The one that asked hears nothing.
        let connections = vec![open(server, sink).await?];
        return Ok(Nodes { names, connections, places: vec![0], sharded: false });
    }
    let names = Names { database, partitions: CLUSTER_PARTITIONS };
    let mut servers: Vec<(String, u16)> = Vec::new();
    let mut places = Vec::new();
    for address in partition_servers(&mut connection, &names).await? {
        let known = servers.iter().position(|known| *known == address);
        places.push(known.unwrap_or(servers.len()));
        if known.is_none() {
            servers.push(address);
        }
    }
    let each = servers.into_iter().map(|address| {
        let server = at(server, address);
        async move { open(&server?, sink).await }
    });
    let connections = try_join_all(each).await?;
    Ok(Nodes { names, connections, places, sharded: true })
}

/// The same server somewhere else. A cluster that does not know what its nodes are reached by leaves the host empty: it
/// is the same then.
fn at(server: &ConnectionInfo, (named, port): (String, u16)) -> RedisResult<ConnectionInfo> {
    let or = |host: &String| if named.is_empty() { host.clone() } else { named.clone() };
    let address = match server.addr() {
        ConnectionAddr::Tcp(host, _) => ConnectionAddr::Tcp(or(host), port),
        ConnectionAddr::TcpTls { host, insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host: or(host),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => return Err(unsound("a cluster is not reached by a socket file")),
    };
    Ok(server.clone().set_addr(address))
}

/// Host and port of the server that each partition is on.
async fn partition_servers(
    connection: &mut MultiplexedConnection,
    names: &Names,
) -> RedisResult<Vec<(String, u16)>> {
    let mut asked = pipe();
    for partition in 0..names.partitions {
        asked.cmd("CLUSTER").arg("KEYSLOT").arg(names.control(partition));
    }
    let slots: Vec<u16> = asked.query_async(connection).await?;
    let ranges: Vec<Vec<Value>> = cmd("CLUSTER").arg("SLOTS").query_async(connection).await?;
    let mut served = Vec::new();
    for range in &ranges {
        let [first, last, primary, ..] = range.as_slice() else {
            return Err(unsound("a slot range without a server"));
        };
        let primary = Vec::<Value>::from_redis_value_ref(primary)?;
        let [host, port, ..] = primary.as_slice() else { return Err(unsound("a server without a port")) };
        let host = Option::<String>::from_redis_value_ref(host)?.unwrap_or_default();
        let slots = u16::from_redis_value_ref(first)?..=u16::from_redis_value_ref(last)?;
        served.push((slots, (host, u16::from_redis_value_ref(port)?)));
    }
    let server = |slot: u16| {
        let found = served.iter().find(|(slots, _)| slots.contains(&slot));
        found.map(|(_, address)| address.clone()).ok_or_else(|| unsound("a slot that no server serves"))
    };
    slots.into_iter().map(server).collect()
}

impl Nodes {
    fn connection(&self, partition: u16) -> RedisResult<MultiplexedConnection> {
        let place = self.places.get(usize::from(partition));
        let connection = place.and_then(|place| self.connections.get(*place));
        connection.cloned().ok_or_else(|| unsound("no server for a partition"))
    }

    /// Whether all of them answer.
    ///
    /// # Errors
    /// One does not.
    pub(super) async fn ping(&self) -> RedisResult<()> {
        try_join_all(
            self.connections
                .iter()
                .cloned()
                .map(|mut connection| async move { cmd("PING").exec_async(&mut connection).await }),
        )
        .await?;
        Ok(())
    }

    /// Runs commands on the servers of some partitions, all at the same time.
    ///
    /// # Errors
    /// One of them fails.
    pub(super) async fn run(&self, pipelines: impl IntoIterator<Item = (u16, Pipeline)>) -> RedisResult<()> {
        let each = pipelines.into_iter().map(|(partition, pipeline)| async move {
            pipeline.exec_async(&mut self.connection(partition)?).await
        });
        try_join_all(each).await?;
        Ok(())
    }

    pub(super) fn publish(&self) -> &'static str {
        if self.sharded { "SPUBLISH" } else { "PUBLISH" }
    }

    pub(super) fn subscribe(&self) -> &'static str {
        if self.sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" }
    }

    pub(super) fn unsubscribe(&self) -> &'static str {
        if self.sharded { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_one_server_or_several() {
        let addresses = |url: &str| {
            let Servers(servers) = Servers::parse(url).unwrap();
            servers.iter().map(|server| server.addr().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(addresses("redis://10.0.0.1"), ["10.0.0.1:6379"]);
        assert_eq!(addresses("redis+cluster://:secret@a:1,b:2,c/"), ["a:1", "b:2", "c:6379"]);
        let Servers(servers) = Servers::parse("rediss://us%40er:p@a:1,b:2/3").unwrap();
        for server in &servers {
            let settings = server.redis_settings();
            assert_eq!(
                (settings.db(), settings.username(), settings.password()),
                (3, Some("us@er"), Some("p"))
            );
            assert!(matches!(server.addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
        }
        for wrong in ["", "redis", "http://a", "redis://", "redis://a:b:c", "redis://a,"] {
            assert!(Servers::parse(wrong).is_err(), "{wrong}");
        }
    }
}
