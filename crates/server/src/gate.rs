//! What every request passes before the router: whether it is meant for this server, whether its
//! connection may have it, whether a page of another origin sent it. And what is written to the log of the
//! requests that were refused, here or behind.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Request, StatusCode};

use crate::app::App;
use crate::connection_stats::Barred;
use crate::connections::{Connection, Door};
use crate::envelope;
use crate::handlers::written;
use crate::hosts::Hosts;
use crate::phase::Phase;
use crate::refusal::Refusal;
use crate::refusal_log::{Reason, RefusalLog};
use crate::reply::{self, OnEnd, Reply};
use crate::router::{self, About};

/// See the module.
pub(crate) struct Gate {
    pub(crate) app: Arc<App>,
    pub(crate) hosts: Hosts,
    pub(crate) log: RefusalLog,
}

/// Held by an answer that did not come from the router: the connection is idle when it has been sent.
#[derive(Debug)]
struct IdleAfter(Phase);

impl OnEnd for IdleAfter {}

impl Drop for IdleAfter {
    fn drop(&mut self) {
        self.0.idle();
    }
}

/// Why a request does not pass.
struct Stopped {
    refusal: Refusal,
    reason: Barred,
    /// Whether the connection is of no more use.
    ends: bool,
}

impl Gate {
    /// Answers one request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Reply {
        let about = router::about(request.uri().path());
        let reply = match self.check(&connection, &request, about) {
            Ok(()) => {
                let phase = connection.phase().clone();
                router::dispatch(self.app.clone(), phase, request).await
            }
            Err(stopped) => {
                self.app.stats.by_reason.count_barred(stopped.reason);
                return self.refuse(&connection, about, &stopped);
            }
        };
        let status = reply.status();
        // Reads answer their clients, who tell; what a sender is told nobody reads.
        if status.is_server_error() || (about.is_push && status.is_client_error()) {
            let reason = match reply.extensions().get::<Reason>() {
                Some(Reason(reason)) => reason.into(),
                None => String::from_utf8_lossy(reply.body().whole().unwrap_or_default()),
            };
            self.log.note(about.path, connection.peer(), status.as_u16(), &reason);
        }
        reply
    }

    fn check(
        &self,
        connection: &Connection,
        request: &Request<Incoming>,
        about: About,
    ) -> Result<(), Stopped> {
        let stopped = |refusal, reason| Stopped { refusal, reason, ends: false };
        if !connection.phase().busy() {
            return Err(no_place());
        }
        self.hosts.check(request).map_err(|refusal| stopped(refusal, Barred::Host))?;
        if !about.is_probe && !connection.serves_all() {
            return Err(match connection.door() {
                Door::Public => no_place(),
                Door::Probes => {
                    let text = "this address answers /-/healthy, /-/ready and /metrics alone";
                    stopped(Refusal::new(StatusCode::NOT_FOUND, text), Barred::ProbeListener)
                }
            });
        }
        if about.changes && request.method() != Method::OPTIONS {
            let checked = self.hosts.check_page(request.headers());
            checked.map_err(|refusal| stopped(refusal, Barred::Origin))?;
        }
        Ok(())
    }

    fn refuse(&self, connection: &Connection, about: About, stopped: &Stopped) -> Reply {
        let refusal = &stopped.refusal;
        let status = refusal.status.as_u16();
        self.log.note(stopped.reason.name(), connection.peer(), status, &refusal.message);
        let mut reply = match about.has_envelope {
            true => envelope::error(refusal),
            false => reply::refused(refusal),
        };
        if about.is_push {
            written::complete(reply.headers_mut());
        }
        if stopped.ends {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        router::count_unrouted(&self.app, status);
        reply.body_mut().hold(Box::new(IdleAfter(connection.phase().clone())));
        reply
    }
}

fn no_place() -> Stopped {
    let refusal = Refusal::unavailable("too many connections at a time");
    Stopped { refusal, reason: Barred::Places, ends: true }
}
