\echo Use "CREATE EXTENSION cerebro_ds" to load this file. \quit

-- What each function does is in experiments/warehouse/backend.py, which runs in the server.
-- Arguments are json, numbers and bytea, never text: postgres_fdw ships no expression whose
-- collation does not come from a column. Work is done by aggregates, since an aggregate counts as
-- immutable whatever its transition function is, so it is shipped and may still do things.

CREATE FUNCTION madlib.cached(job json, buffer_id integer, dist_key integer) RETURNS boolean
LANGUAGE plpython3u IMMUTABLE AS $$
from experiments.warehouse import backend
return backend.cached(job, buffer_id)
$$;

CREATE FUNCTION madlib.warm_transition(state json, dist_key integer, job json) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.warm(job)
$$;
CREATE AGGREGATE madlib.warm(dist_key integer, job json) (
    sfunc = madlib.warm_transition, stype = json);

CREATE FUNCTION madlib.create_transition(state json, dist_key integer, job json) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.create(job)
$$;
CREATE AGGREGATE madlib.create(dist_key integer, job json) (
    sfunc = madlib.create_transition, stype = json);

CREATE FUNCTION madlib.load_file_transition(state json, dist_key integer, job json) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.load_file(job)
$$;
CREATE AGGREGATE madlib.load_file(dist_key integer, job json) (
    sfunc = madlib.load_file_transition, stype = json);

CREATE FUNCTION madlib.dump_file_transition(state json, dist_key integer, job json) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.dump_file(job)
$$;
CREATE AGGREGATE madlib.dump_file(dist_key integer, job json) (
    sfunc = madlib.dump_file_transition, stype = json);

CREATE FUNCTION madlib.load_transition(
    state json, job json, part integer, parts integer, bytes bytea) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.load_part(job, part, parts, bytes)
$$;
CREATE AGGREGATE madlib.load(job json, part integer, parts integer, bytes bytea) (
    sfunc = madlib.load_transition, stype = json);

CREATE FUNCTION madlib.dump(
    job json, OUT part integer, OUT parts integer, OUT bytes bytea) RETURNS SETOF record
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.dump_parts(job)
$$;

CREATE FUNCTION madlib.train_transition(
    state bigint, job json, buffer_id integer, independent_var bytea, dependent_var bytea,
    independent_var_shape integer[], dependent_var_shape integer[]) RETURNS bigint
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.train_transition(
    state, job, buffer_id, independent_var, dependent_var,
    independent_var_shape, dependent_var_shape)
$$;
CREATE FUNCTION madlib.train_final(state bigint) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.train_final(state)
$$;
CREATE AGGREGATE madlib.train(
    job json, buffer_id integer, independent_var bytea, dependent_var bytea,
    independent_var_shape integer[], dependent_var_shape integer[]) (
    sfunc = madlib.train_transition, stype = bigint, finalfunc = madlib.train_final);

CREATE FUNCTION madlib.evaluate_transition(
    state bigint, job json, buffer_id integer, independent_var bytea, dependent_var bytea,
    independent_var_shape integer[], dependent_var_shape integer[]) RETURNS bigint
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.evaluate_transition(
    state, job, buffer_id, independent_var, dependent_var,
    independent_var_shape, dependent_var_shape)
$$;
CREATE FUNCTION madlib.evaluate_final(state bigint) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import backend
return backend.evaluate_final(state)
$$;
CREATE AGGREGATE madlib.evaluate(
    job json, buffer_id integer, independent_var bytea, dependent_var bytea,
    independent_var_shape integer[], dependent_var_shape integer[]) (
    sfunc = madlib.evaluate_transition, stype = bigint, finalfunc = madlib.evaluate_final);

-- Training fully inside the database: what these do is in experiments/warehouse/units.py, and the
-- procedure's loop in experiments/warehouse/procedure.py.

CREATE FUNCTION madlib.initialize_transition(state json, dist_key integer, job json) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import units
return units.initialize(job)
$$;
CREATE AGGREGATE madlib.initialize(dist_key integer, job json) (
    sfunc = madlib.initialize_transition, stype = json);

CREATE FUNCTION madlib.fit_transition(
    state bigint, job json, buffer_id integer, independent_var bytea, dependent_var bytea,
    independent_var_shape integer[], dependent_var_shape integer[]) RETURNS bigint
LANGUAGE plpython3u AS $$
from experiments.warehouse import units
return units.fit_transition(
    state, job, buffer_id, independent_var, dependent_var,
    independent_var_shape, dependent_var_shape)
$$;
CREATE FUNCTION madlib.fit_final(state bigint) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import units
return units.fit_final(state)
$$;
CREATE AGGREGATE madlib.fit(
    job json, buffer_id integer, independent_var bytea, dependent_var bytea,
    independent_var_shape integer[], dependent_var_shape integer[]) (
    sfunc = madlib.fit_transition, stype = bigint, finalfunc = madlib.fit_final);

CREATE FUNCTION madlib.score_transition(
    state bigint, job json, buffer_id integer, independent_var bytea, dependent_var bytea,
    independent_var_shape integer[], dependent_var_shape integer[]) RETURNS bigint
LANGUAGE plpython3u AS $$
from experiments.warehouse import units
return units.score_transition(
    state, job, buffer_id, independent_var, dependent_var,
    independent_var_shape, dependent_var_shape)
$$;
CREATE FUNCTION madlib.score_final(state bigint) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import units
return units.score_final(state)
$$;
CREATE AGGREGATE madlib.score(
    job json, buffer_id integer, independent_var bytea, dependent_var bytea,
    independent_var_shape integer[], dependent_var_shape integer[]) (
    sfunc = madlib.score_transition, stype = bigint, finalfunc = madlib.score_final);

CREATE FUNCTION madlib.average_transition(state json, dist_key integer, job json) RETURNS json
LANGUAGE plpython3u AS $$
from experiments.warehouse import units
return units.average(job)
$$;
CREATE AGGREGATE madlib.average(dist_key integer, job json) (
    sfunc = madlib.average_transition, stype = json);

CREATE PROCEDURE madlib.fit_multiple(job json)
LANGUAGE plpython3u AS $$
from experiments.warehouse import procedure
procedure.fit_multiple(job)
$$;

-- These run code and read and write files as the server's user.
REVOKE ALL ON ALL ROUTINES IN SCHEMA madlib FROM PUBLIC;
