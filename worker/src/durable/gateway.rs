//! The Worker in front of the objects: it lets requests in and hands them on, unread.

use mailbus_spec::wire::{Code, Problem};
use worker::{Context, Env, Request, Response, Result, event};

use crate::object;
use crate::router::{
    self, ALLOW_ANONYMOUS, Access, Class, Credentials, Route, SUSPENDED, Suspended,
};

use super::http;

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _: Context) -> Result<Response> {
    let method = request.inner().method();
    let url = request.inner().url();
    let (path, _) = router::target(&url);
    let addressed = address(&request, &env, &method, path)?;
    match addressed {
        Ok(Route::Object { class, workspace, .. }) => {
            let namespace = env.durable_object(binding(class))?;
            let object = namespace.id_from_name(workspace.as_str())?.get_stub()?;
            object.fetch_with_request(request).await
        }
        Ok(Route::Version) => http::respond(router::version()),
        Err(refused) => {
            // Else a client that is still sending would see a reset connection, and no reason.
            let _ = http::read_body(&mut request).await?;
            http::respond(refused)
        }
    }
}

/// Head of a request: who asks, for what, in which form.
fn address<'a>(
    request: &Request,
    env: &Env,
    method: &str,
    path: &'a str,
) -> Result<Result<Route<'a>, object::Response>> {
    let headers = request.headers();
    let authorization = headers.get("authorization")?;
    let host = headers.get("host")?;
    let origin = headers.get("origin")?;
    let content_type = headers.get("content-type")?;
    let credentials = Credentials {
        authorization: authorization.as_deref(),
        host: host.as_deref(),
        origin: origin.as_deref(),
    };
    let suspended = suspended(env);
    Ok(access(env).admit(credentials).and_then(|_| router::route(method, path)).and_then(|route| {
        let route = suspended?.admit(route)?;
        if method == "POST" {
            router::check_media_type(content_type.as_deref())?;
        }
        Ok(route)
    }))
}

fn access(env: &Env) -> Access {
    Access::of_variable(&variable(env, ALLOW_ANONYMOUS))
}

/// Workspaces that are suspended. None is served if their names cannot be read: it may be any of them.
fn suspended(env: &Env) -> std::result::Result<Suspended, object::Response> {
    variable(env, SUSPENDED).parse().map_err(|invalid| {
        let detail = format!("The operator's list {SUSPENDED} cannot be read: a name {invalid}.");
        object::Response::from(&Problem::new(Code::Restoring, detail))
    })
}

fn variable(env: &Env, name: &str) -> String {
    env.var(name).map(|value| value.to_string()).unwrap_or_default()
}

fn binding(class: Class) -> &'static str {
    match class {
        Class::Lease => "LEASE",
        Class::Mailbox => "MAILBOX",
    }
}
