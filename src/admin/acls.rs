//! Creating, describing and deleting access control entries.

use super::acl::{AclBinding, AclBindingFilter};
use super::advice::advised;
use super::{Admin, refusal, retry_all};
use crate::cluster::unanswered;
use crate::error::Result;
use crate::wire::{CreateAcls, DeleteAcls, DescribeAcls};

impl Admin {
    /// Adds access control entries; each has its own result, in order. One that is there already is no error. Kafka:
    /// `CreateAcls`.
    ///
    /// # Errors
    /// When no broker could be asked. An entry's own result has the broker's error: `CLUSTER_AUTHORIZATION_FAILED`,
    /// `INVALID_REQUEST` for one that cannot be, `SECURITY_DISABLED` where brokers have no authorizer.
    pub async fn create_acls(
        &self,
        bindings: impl IntoIterator<Item = AclBinding>,
    ) -> Result<Vec<Result<()>>> {
        let bindings: Vec<_> = bindings.into_iter().collect();
        let call = &CreateAcls {
            entries: bindings.iter().map(AclBinding::wire).collect(),
        };
        let answer = self
            .calls
            .with_retries("create ACLs", || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                retry_all(answer.results.iter().map(|told| told.0), "creating ACLs")?;
                Ok(answer)
            })
            .await?;
        let mut told = answer.results.into_iter();
        let result = |binding: &AclBinding| {
            let context = || format!("creating the ACL {binding}");
            let (code, message) = told.next().ok_or_else(|| unanswered(context()))?;
            advised(refusal(code, message.as_ref(), context))
        };
        Ok(bindings.iter().map(result).collect())
    }

    /// The access control entries that a filter lets through. Kafka: `DescribeAcls`.
    ///
    /// # Errors
    /// When no broker could be asked, or it refused: `CLUSTER_AUTHORIZATION_FAILED`, `SECURITY_DISABLED` where brokers
    /// have no authorizer.
    pub async fn describe_acls(&self, filter: AclBindingFilter) -> Result<Vec<AclBinding>> {
        let call = &DescribeAcls {
            filter: filter.wire(),
        };
        let answer = self
            .calls
            .with_retries("describe ACLs", || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                let context = || "describing ACLs".to_owned();
                advised(refusal(answer.code, answer.message.as_ref(), context))?;
                Ok(answer)
            })
            .await?;
        Ok(answer.entries.into_iter().map(AclBinding::of).collect())
    }

    /// Removes the access control entries that any of these filters lets through; each filter has its own result, in
    /// order, with the entries that it found and what became of each. Kafka: `DeleteAcls`.
    ///
    /// # Errors
    /// When no broker could be asked. A filter's own result has the broker's error: `CLUSTER_AUTHORIZATION_FAILED`,
    /// `SECURITY_DISABLED` where brokers have no authorizer.
    pub async fn delete_acls(
        &self,
        filters: impl IntoIterator<Item = AclBindingFilter>,
    ) -> Result<Vec<Result<Vec<DeletedAcl>>>> {
        let call = &DeleteAcls {
            filters: filters.into_iter().map(AclBindingFilter::wire).collect(),
        };
        let answer = self
            .calls
            .with_retries("delete ACLs", || async move {
                let connection = self.calls.cluster.any().await?;
                let answer = connection.call(call, self.calls.request_timeout()).await?;
                retry_all(answer.filters.iter().map(|told| told.code), "deleting ACLs")?;
                Ok(answer)
            })
            .await?;
        let mut told = answer.filters.into_iter();
        let mut result = || {
            let context = || "deleting ACLs".to_owned();
            let told = told.next().ok_or_else(|| unanswered(context()))?;
            advised(refusal(told.code, told.message.as_ref(), context))?;
            let entries = told.entries.into_iter();
            let deleted = entries.map(|(code, message, entry)| {
                let binding = AclBinding::of(entry);
                let context = || format!("deleting the ACL {binding}");
                let result = refusal(code, message.as_ref(), context);
                DeletedAcl { binding, result }
            });
            Ok(deleted.collect())
        };
        Ok(call.filters.iter().map(|_| result()).collect())
    }
}

/// An access control entry that was to be removed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeletedAcl {
    /// The entry.
    pub binding: AclBinding,
    /// Why it is still there, if it is.
    pub result: Result<()>,
}
