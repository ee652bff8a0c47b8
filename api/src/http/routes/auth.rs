//! Log in and out; tokens and tickets.

use super::Group;
use crate::http::{
    answer::{Failure, Nothing, Plain, statuses},
    auth::Auth,
    body::{Body, body},
    client_address::ClientAddress,
    input::Text,
    schema::describe,
};
use poem::web::Data;
use poem_openapi::OpenApi;
use serde::Serialize;
use std::sync::Arc;
use verbatim_application::{App, commands::TokenPair};
use verbatim_domain::text::{EMAIL_MAX, PASSWORD_MAX};

body! {
    /// Who one claims to be, and the proof.
    LogInBody {
        /// E-mail address of the account.
        email: Text<1, EMAIL_MAX>,
        /// Its password.
        password: Text<1, PASSWORD_MAX>,
    }
}

body! {
    /// A refresh token.
    RefreshTokenBody {
        /// The newest one of the session.
        refresh_token: Text<1, 512>,
    }
}

/// What a log-in gives. No `Debug`: it is secret.
#[derive(Serialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    token_type: String,
    expires_in: u64,
}

describe! {
    Tokens as "Tokens", "A pair of tokens." {
        access_token: String = "For the header `Authorization: Bearer`.",
        refresh_token: String = "Good for one refresh; used twice, it ends the session.",
        token_type: String = "`Bearer`.",
        expires_in: u64 = "Seconds that the access token lives.",
    }
}

impl From<TokenPair> for Tokens {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            token_type: "Bearer".to_owned(),
            expires_in: pair.expires_in,
        }
    }
}

#[derive(Serialize)]
struct Ticket {
    ticket: String,
    expires_in: u64,
}

describe! {
    Ticket as "Ticket", "Good for one connection that can set no header." {
        ticket: String = "For the query `?ticket=` of an event stream or of `/ws`.",
        expires_in: u64 = "Seconds that it may be used.",
    }
}

statuses! {
    /// Of logging in.
    LogIn: 401 429;
    /// Of refreshing.
    Refresh: 401 404;
    /// Of logging out.
    LogOut: ;
    /// Of getting a ticket.
    GetTicket: ;
}

pub(in crate::http) struct AuthApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Auth")]
impl AuthApi {
    /// Log in
    ///
    /// An unknown e-mail address and a wrong password get the same answer. Too many failures for an account or from
    /// an address are answered 429 for a while.
    #[oai(path = "/auth/login", method = "post", operation_id = "log_in")]
    async fn log_in(
        &self,
        app: Data<&Arc<App>>,
        address: ClientAddress,
        body: Body<LogInBody>,
    ) -> Result<Plain<Tokens>, Failure<LogIn>> {
        Ok(Plain(app.log_in(&body.0.email.0, &body.0.password.0, address.0).await?.into()))
    }

    /// Trade a refresh token for the next pair
    ///
    /// A token that was used before has been copied: its whole session ends.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(
        &self,
        app: Data<&Arc<App>>,
        body: Body<RefreshTokenBody>,
    ) -> Result<Plain<Tokens>, Failure<Refresh>> {
        Ok(Plain(app.refresh(&body.0.refresh_token.0).await?.into()))
    }

    /// Log out
    ///
    /// Ends the session of the refresh token. A token that is not known is no error.
    #[oai(path = "/auth/logout", method = "post", operation_id = "log_out")]
    async fn log_out(
        &self,
        app: Data<&Arc<App>>,
        body: Body<RefreshTokenBody>,
    ) -> Result<Plain<Nothing, 204>, Failure<LogOut>> {
        app.log_out(&body.0.refresh_token.0).await?;
        Ok(Plain(Nothing))
    }

    /// Get a ticket
    ///
    /// One use, short-lived, for event streams and WebSockets where no header can be set.
    #[oai(path = "/auth/ticket", method = "post", operation_id = "get_ticket")]
    async fn ticket(
        &self,
        app: Data<&Arc<App>>,
        auth: Auth,
    ) -> Result<Plain<Ticket, 201>, Failure<GetTicket>> {
        let issued = app.issue_ticket(auth.claims).await?;
        Ok(Plain(Ticket { ticket: issued.ticket, expires_in: issued.expires_in.as_secs() }))
    }
}
