//! IncrementalAlterConfigs (44), versions 0–1: SET, DELETE, APPEND and SUBTRACT on single configs. Each resource succeeds
//! or fails by itself and as a whole; `validate_only` changes nothing.
//!
//! Source: KIP-339, Kafka's `ConfigurationControlManager`.

use broker_core::config::{AlterOp, ConfigChange, ConfigError};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ResponseKind,
};

use super::config_resource::{Wanted, change_all};
use super::refusal::Refusal;
use super::text::{owned, text};
use crate::broker::Fatal;
use crate::context::Context;

pub(crate) async fn handle(
    context: &Context,
    request: IncrementalAlterConfigsRequest,
) -> Result<ResponseKind, Fatal> {
    let wanted = request.resources.iter().map(|resource| Wanted {
        kind: resource.resource_type,
        name: resource.resource_name.to_string(),
        change: operations(resource).map(ConfigChange::Incremental),
    });
    let mut response = IncrementalAlterConfigsResponse::default();
    for changed in change_all(&*context.broker, wanted.collect(), request.validate_only).await? {
        let mut result = AlterConfigsResourceResponse::default();
        result.resource_type = changed.kind;
        result.resource_name = text(&changed.name);
        (result.error_code, result.error_message) = Refusal::fields(&changed.outcome);
        response.responses.push(result);
    }
    Ok(ResponseKind::IncrementalAlterConfigs(response))
}

fn operations(resource: &AlterConfigsResource) -> Result<Vec<(String, AlterOp)>, ConfigError> {
    let operations = resource.configs.iter().map(|one| {
        let op = AlterOp::from_wire(one.config_operation, owned(one.value.as_ref()))?;
        Ok((one.name.to_string(), op))
    });
    operations.collect()
}
