//! Operating the projections: the verbs of the command line.

use super::Group;
use crate::http::{
    answer::{Failure, Plain, statuses},
    auth::Operator,
    input::ProjectionName,
    param::Segment,
    schema::describe,
};
use poem::web::Data;
use poem_openapi::OpenApi;
use serde::Serialize;
use std::sync::Arc;
use verbatim_application::{
    AppError,
    ports::{ProjectionStatus, ProjectionsAdmin, Verification},
};

#[derive(Debug, Serialize)]
struct Projection {
    name: String,
    version: u64,
    previous_version: Option<u64>,
    schema_version: u32,
    position: u64,
    head: u64,
    lag: u64,
    last_error: Option<String>,
}

describe! {
    Projection as "Projection", "Where a projection stands." {
        name: String = "Its name.",
        version: u64 = "The version that is read; each rebuild makes a new one.",
        previous_version: Option<u64> = "The version before it, as long as it is kept for going back.",
        schema_version: u32 = "Version of the tables' shape.",
        position: u64 = "Log position up to which everything is applied.",
        head: u64 = "Position of the last event in the log.",
        lag: u64 = "Events that are not applied yet.",
        last_error: Option<String> = "Why it does not come on; null as long as it does.",
    }
}

impl From<ProjectionStatus> for Projection {
    fn from(status: ProjectionStatus) -> Self {
        let ProjectionStatus {
            name,
            version,
            previous_version,
            schema_version,
            position,
            head,
            lag,
            last_error,
        } = status;
        Self { name, version, previous_version, schema_version, position, head, lag, last_error }
    }
}

#[derive(Debug, Serialize)]
struct Projections {
    items: Vec<Projection>,
}

describe! {
    Projections as "Projections", "All projections." {
        items: Vec<Projection> = "By name.",
    }
}

#[derive(Debug, Serialize)]
struct Comparison {
    name: String,
    position: u64,
    differences: u64,
    samples: Vec<String>,
}

describe! {
    Comparison as "Comparison", "The live read model beside one folded from the log." {
        name: String = "Which projection.",
        position: u64 = "Log position as of which both were compared.",
        differences: u64 = "How many rows differ.",
        samples: Vec<String> = "The first few of them, a sentence each.",
    }
}

impl From<Verification> for Comparison {
    fn from(verification: Verification) -> Self {
        let Verification { name, position, differences, samples } = verification;
        Self { name, position, differences, samples }
    }
}

#[derive(Debug, Serialize)]
struct Started {
    name: String,
}

describe! {
    Started as "Started", "A rebuild that has begun; `GET /api/v1/admin/projections` shows the new version once it is live." {
        name: String = "Which projection.",
    }
}

statuses! {
    /// Of the list.
    ListProjections: 403;
    /// Of orders that need nothing but the projection.
    Order: 403 404 409;
    /// Of orders that need a previous version.
    Previous: 403 404 409 422;
}

type Admin<'a> = Data<&'a Arc<dyn ProjectionsAdmin>>;

pub(in crate::http) struct AdminApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Group::Admin")]
impl AdminApi {
    /// List the projections
    #[oai(path = "/admin/projections", method = "get", operation_id = "list_projections")]
    async fn list(
        &self,
        _operator: Operator,
        admin: Admin<'_>,
    ) -> Result<Plain<Projections>, Failure<ListProjections>> {
        let items = admin.list().await.map_err(AppError::from)?.into_iter().map(Projection::from).collect();
        Ok(Plain(Projections { items }))
    }

    /// Rebuild a projection
    ///
    /// A new version is filled from the start of the log beside the live one, catches up and is switched to. Reads go
    /// on. The old version stays for going back.
    #[oai(path = "/admin/projections/:name/rebuild", method = "post", operation_id = "rebuild_projection")]
    async fn rebuild(
        &self,
        _operator: Operator,
        admin: Admin<'_>,
        /// The projection.
        name: Segment<ProjectionName>,
    ) -> Result<Plain<Started, 202>, Failure<Order>> {
        let name = name.0.0;
        admin.start_rebuild(vec![name.clone()]).await.map_err(AppError::from)?;
        Ok(Plain(Started { name }))
    }

    /// Verify a projection
    ///
    /// Compares the live version with one folded from the log. That takes as long as reading the log does.
    #[oai(path = "/admin/projections/:name/verify", method = "post", operation_id = "verify_projection")]
    async fn verify(
        &self,
        _operator: Operator,
        admin: Admin<'_>,
        /// The projection.
        name: Segment<ProjectionName>,
    ) -> Result<Plain<Comparison>, Failure<Order>> {
        Ok(Plain(admin.verify(&name.0.0).await.map_err(AppError::from)?.into()))
    }

    /// Go back to the previous version of a projection
    #[oai(path = "/admin/projections/:name/rollback", method = "post", operation_id = "rollback_projection")]
    async fn rollback(
        &self,
        _operator: Operator,
        admin: Admin<'_>,
        /// The projection.
        name: Segment<ProjectionName>,
    ) -> Result<Plain<Projection>, Failure<Previous>> {
        Ok(Plain(admin.rollback(&name.0.0).await.map_err(AppError::from)?.into()))
    }

    /// Free the previous version of a projection
    #[oai(path = "/admin/projections/:name/drop-old", method = "post", operation_id = "drop_old_projection")]
    async fn drop_old(
        &self,
        _operator: Operator,
        admin: Admin<'_>,
        /// The projection.
        name: Segment<ProjectionName>,
    ) -> Result<Plain<Projection>, Failure<Previous>> {
        Ok(Plain(admin.drop_old(&name.0.0).await.map_err(AppError::from)?.into()))
    }
}
