//! Wires between a client and its service: real sockets on the loopback.

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::select;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// Hands every connection at a free port of the loopback to `serve`.
pub async fn listen<F: Future<Output = ()> + 'static>(
    serve: impl Fn(TcpStream) -> F + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn_local(serve(stream));
        }
    });
    address
}

/// Passes bytes on to whoever listens there.
pub async fn pass_on(mut stream: impl AsyncRead + AsyncWrite + Unpin, to: SocketAddr) {
    let mut there = TcpStream::connect(to).await.unwrap();
    let _ = copy_bidirectional(&mut stream, &mut there).await;
}

/// Bytes that clients have sent.
#[derive(Clone, Default)]
pub struct Tapped(Rc<RefCell<Vec<u8>>>);

impl Tapped {
    pub fn contains(&self, text: &str) -> bool {
        self.0.borrow().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// A wire to whoever listens there, and what has gone over it.
pub async fn tapped(to: SocketAddr) -> (SocketAddr, Tapped) {
    let tapped = Tapped::default();
    let heard = tapped.clone();
    let wire = listen(move |mut near| {
        let heard = heard.clone();
        async move {
            let mut far = TcpStream::connect(to).await.unwrap();
            let (mut near_in, mut near_out) = near.split();
            let (mut far_in, mut far_out) = far.split();
            let there = async {
                let mut buffer = [0; 4_096];
                while let Ok(read) = near_in.read(&mut buffer).await
                    && read > 0
                {
                    heard.0.borrow_mut().extend(&buffer[..read]);
                    far_out.write_all(&buffer[..read]).await.unwrap();
                }
            };
            select(pin!(there), pin!(tokio::io::copy(&mut far_in, &mut near_out))).await;
        }
    });
    (wire.await, tapped)
}

/// A proxy that connects everybody to one place, whatever they ask for, and what it was asked; with
/// another status than 200 it connects nobody.
pub async fn proxy(to: SocketAddr, status: u16) -> (SocketAddr, Rc<RefCell<Vec<String>>>) {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&asked);
    let address = listen(move |mut stream| {
        let noted = Rc::clone(&noted);
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            noted.borrow_mut().push(String::from_utf8(head).unwrap());
            let answer = format!("HTTP/1.1 {status} So\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if status == 200 {
                pass_on(stream, to).await;
            }
        }
    });
    (address.await, asked)
}
