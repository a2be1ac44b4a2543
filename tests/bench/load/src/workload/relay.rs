//! The ceiling: a relay that copies bytes from one connection to another inside TLS and knows nothing of XMPP, driven by
//! the same client code as `chat`.

use super::chat::{Pair, run_pairs};
use crate::cli::{RelayLimit, RelayServe};
use crate::conn::{Stream, TlsClient};
use crate::session::Session;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

const HEADER: &[u8] = b"<stream:stream>";
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// Starts the relay as a child process and measures it like a server.
pub async fn run(args: RelayLimit) -> Result<()> {
    let relay = Relay::start(&args)?;
    let tls = TlsClient::new("localhost")?;
    let mut pairs = Vec::new();
    for number in 0..args.shape.pairs {
        pairs.push(Pair {
            from: join(&args, &tls, number, b'a').await?,
            to: join(&args, &tls, number, b'b').await?,
            address: format!("load{}@localhost", number * 2 + 1),
        });
    }
    let cipher = pairs.first().context("no pairs")?.from.cipher.clone();
    let outcome = run_pairs(pairs, &args.shape, std::process::id(), relay.0.id()).await?;
    outcome
        .report("relay-limit", &args.shape)
        .with("cipher", cipher)
        .print();
    Ok(())
}

/// The child process; killed when dropped.
struct Relay(Child);

impl Relay {
    fn start(args: &RelayLimit) -> Result<Relay> {
        let program = std::env::current_exe()?;
        let mut command = match args.relay_cpu {
            Some(cpu) => {
                let mut taskset = Command::new("taskset");
                taskset.arg("-c").arg(cpu.to_string()).arg(program);
                taskset
            }
            None => Command::new(program),
        };
        command.args(["relay-serve", "--port", &args.port.to_string()]);
        command.arg("--identity").arg(&args.identity);
        Ok(Relay(command.spawn().context("start the relay")?))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connects one side of a pair: four bytes of number, one of side.
async fn join(args: &RelayLimit, tls: &TlsClient, number: usize, side: u8) -> Result<Session> {
    let mut stream = tls.handshake(connect(args.port).await?).await?;
    let mut hello = u32::try_from(number)?.to_be_bytes().to_vec();
    hello.push(side);
    stream.write_all(&hello).await?;
    stream.flush().await?;
    Ok(Session::new(number, stream))
}

/// Connects as soon as the relay listens, within five seconds.
async fn connect(port: u16) -> Result<TcpStream> {
    for _ in 0..100 {
        if let Ok(tcp) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            tcp.set_nodelay(true)?;
            return Ok(tcp);
        }
        sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the relay does not listen")
}

/// Connections waiting for their partner.
type Waiting = Arc<Mutex<HashMap<u32, (u8, Stream)>>>;

pub async fn serve(args: RelayServe) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await?;
    let chain = CertificateDer::pem_file_iter(&args.identity)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&args.identity)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let waiting = Waiting::default();
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        tokio::spawn(admit(tcp, acceptor.clone(), waiting.clone()));
    }
}

async fn admit(tcp: TcpStream, acceptor: TlsAcceptor, waiting: Waiting) -> Result<()> {
    let mut stream = Stream::Tls(Box::new(acceptor.accept(tcp).await?.into()));
    let mut hello = [0; 5];
    timeout(HELLO_WITHIN, stream.read_exact(&mut hello)).await??;
    let number = u32::from_be_bytes(hello[..4].try_into()?);
    let partner = waiting.lock().unwrap().remove(&number);
    match partner {
        None => {
            waiting.lock().unwrap().insert(number, (hello[4], stream));
            Ok(())
        }
        Some((b'a', other)) => relay(other, stream).await,
        Some((_, other)) => relay(stream, other).await,
    }
}

/// Copies everything from `a` to `b`, and nothing back.
async fn relay(a: Stream, b: Stream) -> Result<()> {
    let (reader, _keep): (ReadHalf<Stream>, WriteHalf<Stream>) = tokio::io::split(a);
    let (_keep_too, mut writer) = tokio::io::split(b);
    writer.write_all(HEADER).await?;
    writer.flush().await?;
    copy(reader, writer).await
}

async fn copy(mut from: ReadHalf<Stream>, mut to: WriteHalf<Stream>) -> Result<()> {
    let mut buf = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buf).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buf[..count]).await?;
        to.flush().await?;
    }
}
