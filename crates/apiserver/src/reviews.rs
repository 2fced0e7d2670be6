//! Resources that are answered and forgotten: the access reviews, TokenReview, SelfSubjectReview.

use crate::authn::user_info;
use crate::call::Call;
use crate::http::Answer;
use crate::verbs::decode;
use api::field::{FieldError, FieldPath};
use api::user::User;
use api::{Object, Status};
use http::StatusCode;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, SelfSubjectReviewStatus, TokenReview};
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use registry::{Attempt, Books, Operation};

pub(crate) async fn answer(call: &Call<'_>) -> Result<Answer, Status> {
    let decoded = decode(call)?;
    let mut object = decoded.object;
    place(call, object.as_mut())?;
    admit(call, &mut object).await?;
    let object = object.as_mut();
    if let Some(review) = object.downcast_mut::<SubjectAccessReview>() {
        review.status = Some(subject_access(call, &review.spec).await?);
    } else if let Some(review) = object.downcast_mut::<LocalSubjectAccessReview>() {
        check_namespace(call, &review.spec)?;
        review.status = Some(subject_access(call, &review.spec).await?);
    } else if let Some(review) = object.downcast_mut::<SelfSubjectAccessReview>() {
        let spec = &review.spec;
        check_subject(call, spec.resource_attributes.is_some(), spec.non_resource_attributes.is_some())?;
        let authz = &call.backend.parts()?.authz;
        let (resource, path) = (spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
        review.status = Some(authz.review_access(call.user, resource, path).await);
    } else if let Some(review) = object.downcast_mut::<SelfSubjectRulesReview>() {
        let namespace = review.spec.namespace.as_deref().unwrap_or_default();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        review.status = Some(call.backend.parts()?.authz.review_rules(call.user, namespace));
    } else if let Some(review) = object.downcast_mut::<TokenReview>() {
        if review.spec.token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        review.status = Some(call.backend.parts()?.authn.review(&review.spec).await);
    } else if let Some(review) = object.downcast_mut::<SelfSubjectReview>() {
        review.status = Some(SelfSubjectReviewStatus { user_info: Some(user_info(call.user)) });
    } else {
        return Err(Status::not_implemented(call.def().group_resource()));
    }
    let body = object.encode().map_err(Status::internal)?;
    Ok(Answer::json(body).code(StatusCode::CREATED).warn(decoded.warnings))
}

/// Where it is asked about is said by the path; a review that says it too must say the same.
fn place(call: &Call<'_>, object: &mut dyn Object) -> Result<(), Status> {
    let (namespace, own) = (call.namespace(), &mut object.meta_mut().namespace);
    match own.as_deref().filter(|own| !own.is_empty()) {
        _ if namespace.is_empty() => Ok(()),
        None => {
            *own = Some(namespace.to_owned());
            Ok(())
        }
        Some(own) if own == namespace => Ok(()),
        Some(_) => Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

async fn admit(call: &Call<'_>, object: &mut Box<dyn Object>) -> Result<(), Status> {
    let write = call.write()?;
    let attempt = Attempt {
        def: call.def(),
        kind: call.resource.kind,
        operation: Operation::Create,
        namespace: call.namespace(),
        name: "",
        subresource: None,
        user: call.user,
        dry_run: write.dry_run,
        options: write.options,
        notes: write.notes,
        books: Books::default(),
    };
    write.admission.mutate(&attempt, object, None).await?;
    let errors = object.validate();
    if !errors.is_empty() {
        return Err(Status::invalid(call.def(), "", &errors));
    }
    write.admission.validate(&attempt, Some(object.as_ref()), None).await.map(drop)
}

fn check_subject(call: &Call<'_>, resource: bool, path: bool) -> Result<(), Status> {
    let why = match (resource, path) {
        (true, true) => "cannot be specified in combination with resourceAttributes",
        (false, false) => "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        _ => return Ok(()),
    };
    let spec = FieldPath::new("spec");
    let error = if resource {
        FieldError::invalid(spec.child("nonResourceAttributes"), &serde_json::Value::Null, why)
    } else {
        FieldError::invalid(spec.child("resourceAttributes"), &serde_json::Value::Null, why)
    };
    Err(Status::invalid(call.def(), "", &[error]))
}

fn check_namespace(call: &Call<'_>, spec: &SubjectAccessReviewSpec) -> Result<(), Status> {
    let asked = spec.resource_attributes.as_ref().and_then(|attributes| attributes.namespace.as_deref());
    if spec.non_resource_attributes.is_some() {
        let path = FieldPath::new("spec").child("nonResourceAttributes");
        let error = FieldError::invalid(path, &serde_json::Value::Null, "disallowed on this kind of request");
        return Err(Status::invalid(call.def(), "", &[error]));
    }
    if asked.unwrap_or_default() == call.namespace() {
        return Ok(());
    }
    Err(Status::bad_request(format!("spec.resourceAttributes.namespace must match namespace: {}", call.namespace())))
}

async fn subject_access(call: &Call<'_>, spec: &SubjectAccessReviewSpec) -> Result<SubjectAccessReviewStatus, Status> {
    check_subject(call, spec.resource_attributes.is_some(), spec.non_resource_attributes.is_some())?;
    let user = User {
        name: spec.user.clone().unwrap_or_default(),
        uid: spec.uid.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone().unwrap_or_default(),
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let error = FieldError::invalid(
            FieldPath::new("spec").child("user"),
            "",
            "at least one of user or group must be specified",
        );
        return Err(Status::invalid(call.def(), "", &[error]));
    }
    let authz = &call.backend.parts()?.authz;
    Ok(authz.review_access(&user, spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref()).await)
}
