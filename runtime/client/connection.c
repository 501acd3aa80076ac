/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <base/fd.h>

#define CONNECT_SEC_MAX 5

/* The daemon's own words for what Varlink gives names to; see org.varlink.service. */
static const struct {
	const char *name;
	enum tn_error_code code;
	const char *message;
} varlink_errors[] = {
	{ "org.varlink.service.InvalidParameter", TN_INVALID,
	  "the daemon refuses a parameter" },
	{ "org.varlink.service.MethodNotFound", TN_UNSUPPORTED,
	  "the daemon does not know this call; is it older than this program?" },
	{ "org.varlink.service.MethodNotImplemented", TN_UNSUPPORTED,
	  "the daemon does not know this call; is it older than this program?" },
	{ "org.varlink.service.InterfaceNotFound", TN_UNSUPPORTED,
	  "what answers there is not tenantd" },
};

static int connect_failed(const char *path, struct tn_error *err)
{
	switch (errno) {
	case EACCES:
	case EPERM:
		return err_set(err, TN_NOT_PERMITTED, errno, "you may not use %s", path);
	case ENOENT:
	case ECONNREFUSED:
		return err_set(err, TN_UNREACHABLE, errno,
		               "no daemon listens on %s; see: systemctl status tenantd", path);
	default:
		return err_set(err, TN_UNREACHABLE, errno, "connect to %s: %s", path,
		               strerror(errno));
	}
}

int connection_open(const char *path, struct varlink **ret, struct tn_error *err)
{
	/* The only wait in here is for a place in the daemon's backlog. */
	const struct timeval wait = { .tv_sec = CONNECT_SEC_MAX };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t n = strlen(path) + 1;
	cleanup_fd int fd = FD_NONE;

	if (n > sizeof(address.sun_path))
		return err_set(err, TN_INVALID, ENAMETOOLONG, "the socket's path is too long");
	memcpy(address.sun_path, path, n);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "make a socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
		return err_errno(err, "limit the wait for a connection: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return connect_failed(path, err);
	return varlink_new(ret, fd_take(&fd), err);
}

static int call(struct varlink *link, json_t *request, const int *fds, size_t fds_n,
                struct tn_error *err)
{
	int r;

	if (request == NULL)
		return err_refuse(err, TN_INVALID, "the request has text that is not UTF-8");
	r = varlink_send(link, request, fds, fds_n, err);
	json_decref(request);
	return r;
}

int connection_call(struct varlink *link, const char *method, json_t *parameters,
                    enum connection_mode mode, struct tn_error *err)
{
	static const char *const flags[] = {
		[CONNECTION_MORE] = "more", [CONNECTION_ONEWAY] = "oneway"
	};
	json_t *request = json_pack("{s:s+, s:o}", "method", "io.tenantd.", method,
	                            "parameters", parameters);

	if (request != NULL && mode != CONNECTION_ONE)
		(void)json_object_set_new(request, flags[mode], json_true());
	return call(link, request, NULL, 0, err);
}

int connection_call_with_fds(struct varlink *link, const char *method, json_t *parameters,
                             const int *fds, size_t fds_n, struct tn_error *err)
{
	return call(link,
	            json_pack("{s:s+, s:b, s:o}", "method", "io.tenantd.", method, "more", true,
	                      "parameters", parameters),
	            fds, fds_n, err);
}

static int64_t int_or_absent(const json_t *json, const char *name)
{
	const json_t *number = json_object_get(json, name);

	return json_is_integer(number) ? json_integer_value(number) : TN_ABSENT;
}

static void read_quota(const json_t *parameters, struct tn_quota_error *quota)
{
	const char *meter = json_string_value(json_object_get(parameters, "meter"));

	(void)snprintf(quota->meter, sizeof(quota->meter), "%s", meter != NULL ? meter : "");
	quota->limit = int_or_absent(parameters, "limit");
	quota->used = int_or_absent(parameters, "used");
	quota->requested = int_or_absent(parameters, "requested");
	quota->reset_at = int_or_absent(parameters, "reset_at");
}

/* In the daemon's words, which hold a reason already: no errno of ours belongs to it. */
static int refuse_as_told(enum tn_error_code code, const char *message, struct tn_error *err)
{
	int r = err_refuse(err, code, "%s", message);

	(void)snprintf(err->msg, sizeof(err->msg), "%s", message);
	return r;
}

static int read_error(const char *name, const json_t *parameters, struct tn_quota_error *quota,
                      struct tn_error *err)
{
	const char *message = json_string_value(json_object_get(parameters, "message"));
	enum tn_error_code code = err_code(name);

	for (size_t i = 0; i < ARRAY_LEN(varlink_errors); i++)
		if (strcmp(name, varlink_errors[i].name) == 0)
			return err_refuse(err, varlink_errors[i].code, "%s",
			                  varlink_errors[i].message);
	if (code == TN_QUOTA)
		read_quota(parameters, quota);
	return refuse_as_told(code, message != NULL ? message : name, err);
}

/* Take the descriptor that parameter @name stands for. */
static int take_fd(struct varlink_message *message, const json_t *parameters, const char *name,
                   int *ret, struct tn_error *err)
{
	const json_t *index = json_object_get(parameters, name);
	int fd;

	if (index == NULL || json_is_null(index))
		return 0;
	fd = varlink_message_take_fd(
		message, json_is_integer(index) ? json_integer_value(index) : -1, err);
	if (fd < 0)
		return err_refuse(err, TN_PROTOCOL, "the daemon's reply has no descriptor %s",
		                  name);
	*ret = fd;
	return 0;
}

int connection_reply(struct varlink *link, json_t **ret_parameters, bool *ret_continues,
                     struct tn_quota_error *quota, const char *fd_name, int *ret_fd,
                     struct tn_error *err)
{
	struct varlink_message message = { 0 };
	json_t *parameters;
	const json_t *error;
	int r = varlink_next(link, &message, err);

	if (r <= 0)
		return r;
	parameters = json_object_get(message.json, "parameters");
	error = json_object_get(message.json, "error");
	if (json_is_string(error)) {
		r = read_error(json_string_value(error), parameters, quota, err);
	} else if (parameters != NULL && !json_is_object(parameters)) {
		r = err_refuse(err, TN_PROTOCOL, "the daemon's reply has no parameters");
	} else if (fd_name != NULL && take_fd(&message, parameters, fd_name, ret_fd, err) < 0) {
		r = -EPROTO;
	} else {
		*ret_continues = json_is_true(json_object_get(message.json, "continues"));
		*ret_parameters = parameters != NULL ? json_incref(parameters) : json_object();
	}
	varlink_message_done(&message);
	return r;
}
