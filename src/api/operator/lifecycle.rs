//! Calls of the lifecycle: descriptions, the draft, publication, revisions.

use std::sync::Arc;

use data_encoding::HEXLOWER;

use super::{
    changes::{IdentifiedRequest, digest},
    dispatch::{EncodedRequest, OperatorDispatcher},
    proto::v1::{self, LifecycleFormat},
    requests,
    to_proto::timestamp,
};
use crate::api::{auth::User, booking::requests::Violations, calls::user, error::ApiError};
use kernel::rpc::OperatorRpc;
use lifecycle_files::DescribeFilter;
use orders::{
    lifecycle::{DraftChecked, LifecycleRequest},
    update::ChangeMode,
};
use store::LifecycleRevision;

impl OperatorDispatcher {
    pub(super) fn describe_lifecycle(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::DescribeLifecycleResponse, ApiError> {
        let request: v1::DescribeLifecycleRequest = request.read()?;
        let lifecycle = self.app.lifecycle();
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let filter = DescribeFilter {
            entity: given(&request.entity),
            state: given(&request.state),
            action: given(&request.action),
        };
        // The library would take an unknown number for none.
        let format = LifecycleFormat::try_from(request.format).map_err(|_| {
            let rule = "must be LIFECYCLE_FORMAT_TEXT, LIFECYCLE_FORMAT_MERMAID or LIFECYCLE_FORMAT_SOURCE";
            Violations::one("format", rule)
        })?;
        let description = match format {
            LifecycleFormat::Source if filter != DescribeFilter::default() => {
                let rule = "must not be the source where a part is asked for";
                return Err(Violations::one("format", rule).into());
            }
            LifecycleFormat::Source => {
                let in_force = lifecycle.revisions().next();
                in_force.map_or_else(String::new, |revision| revision.text.clone())
            }
            format @ (LifecycleFormat::Unspecified
            | LifecycleFormat::Text
            | LifecycleFormat::Mermaid) => {
                let described = lifecycle_files::describe(lifecycle.definition(), &filter)
                    .map_err(|error| {
                        Violations::one(error.field(), &format!("is unknown: {error}"))
                    })?;
                if format == LifecycleFormat::Mermaid {
                    lifecycle_files::mermaid(&described)
                } else {
                    lifecycle_files::text(&described)
                }
            }
        };
        Ok(v1::DescribeLifecycleResponse {
            revision: lifecycle.number(),
            description,
        })
    }

    pub(super) async fn get_draft(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::GetDraftResponse, ApiError> {
        let v1::GetDraftRequest {} = request.read()?;
        let draft = self.app.draft().await;
        let definition = draft.ok_or(ApiError::DraftNotFound)?;
        Ok(v1::GetDraftResponse { definition })
    }

    pub(super) async fn put_draft(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::PutDraftResponse, ApiError> {
        let request: v1::PutDraftRequest = request.read_identified()?;
        let in_earnest = v1::PutDraftRequest {
            validate_only: false,
            ..request.clone()
        };
        let asked = AskedLifecycleChange {
            rpc: OperatorRpc::PutDraft,
            in_earnest: &in_earnest,
            request_id: request.request_id,
            validate_only: request.validate_only,
        };
        let asked = asked.by(user()?);
        let DraftChecked { warnings } = self.app.put_draft(asked, request.definition).await?;
        Ok(v1::PutDraftResponse { warnings })
    }

    pub(super) async fn discard_draft(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::DiscardDraftResponse, ApiError> {
        let request: v1::DiscardDraftRequest = request.read_identified()?;
        let asked = AskedLifecycleChange {
            rpc: OperatorRpc::DiscardDraft,
            in_earnest: &request,
            request_id: request.request_id.clone(),
            validate_only: false,
        };
        self.app.discard_draft(asked.by(user()?)).await?;
        Ok(v1::DiscardDraftResponse {})
    }

    pub(super) async fn publish_draft(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::PublishDraftResponse, ApiError> {
        let request: v1::PublishDraftRequest = request.read_identified()?;
        let in_earnest = v1::PublishDraftRequest {
            validate_only: false,
            ..request.clone()
        };
        let asked = AskedLifecycleChange {
            rpc: OperatorRpc::PublishDraft,
            in_earnest: &in_earnest,
            request_id: request.request_id,
            validate_only: request.validate_only,
        };
        let published = self.app.publish_draft(asked.by(user()?)).await?;
        Ok(v1::PublishDraftResponse {
            revision: Some(revision(&published)),
        })
    }

    pub(super) fn list_revisions(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::ListRevisionsResponse, ApiError> {
        let page = requests::list_revisions(&request.read()?)?;
        let lifecycle = self.app.lifecycle();
        let revisions: Vec<_> = lifecycle.revisions().map(revision).collect();
        let (revisions, next_page_token) =
            page.cut(revisions, |revision| revision.revision.to_string());
        Ok(v1::ListRevisionsResponse {
            revisions,
            next_page_token,
        })
    }
}

/// A request that changes the lifecycle.
struct AskedLifecycleChange<'r, M> {
    rpc: OperatorRpc,
    in_earnest: &'r M,
    request_id: String,
    validate_only: bool,
}

impl<M: IdentifiedRequest> AskedLifecycleChange<'_, M> {
    fn by(self, user: Option<Arc<User>>) -> LifecycleRequest {
        LifecycleRequest {
            request_id: self.request_id,
            fingerprint: digest(self.rpc, self.in_earnest, user.as_deref()),
            user,
            mode: if self.validate_only {
                ChangeMode::ValidateOnly
            } else {
                ChangeMode::Commit
            },
        }
    }
}

fn revision(revision: &LifecycleRevision) -> v1::LifecycleRevision {
    v1::LifecycleRevision {
        revision: revision.number,
        name: revision.name.clone(),
        digest: HEXLOWER.encode(&revision.digest),
        publish_time: Some(timestamp(revision.published_sec)),
        actor: revision.by.as_deref().unwrap_or_default().to_owned(),
    }
}
