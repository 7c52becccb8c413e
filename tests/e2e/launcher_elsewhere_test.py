"""Ferry inside Slurm's steps and under launchers that Open MPI knows nothing of."""

import json
import socket
import unittest

from launcher_support import DEMO, FerryTest, ferry

HOST = socket.gethostname()
JOB = {"SLURM_JOB_ID": "77", "SLURM_JOBID": "77", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
       "SLURM_NNODES": "1", "SLURM_NODELIST": HOST, "SLURM_JOB_NODELIST": HOST}


def batch_script(tasks):
    """What sbatch gives its script: it is no step."""
    return {**JOB, "SLURM_NTASKS": str(tasks), "SLURM_NPROCS": str(tasks), "SLURM_TASKS_PER_NODE": str(tasks)}


def step(tasks):
    """What srun gives a task, or the shell of `srun --pty bash`."""
    return {**batch_script(tasks), "SLURM_STEP_ID": "0", "SLURM_STEPID": "0", "SLURM_STEP_NUM_TASKS": str(tasks),
            "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NODELIST": HOST, "SLURM_STEP_TASKS_PER_NODE": str(tasks)}


# A PMIx server that is not there (or is another PMIx than this MPI's): nothing that runs alone may ask it.
PMIX = {"PMIX_NAMESPACE": "slurm.pmix.77.0", "PMIX_RANK": "0", "PMIX_SECURITY_MODE": "none",
        "PMIX_SERVER_URI2": "pmix-server.1;tcp4://127.0.0.1:9", "PMIX_GDS_MODULE": "ds21"}
SHELL = step(1)
MULTI_NODE = {**SHELL, "SLURM_NNODES": "2", "SLURM_NODELIST": f"{HOST},elsewhere", "SLURM_TASKS_PER_NODE": "1(x2)",
              "SLURM_JOB_NODELIST": f"{HOST},elsewhere", "SLURM_JOB_NUM_NODES": "2"}


class ElsewhereTest(FerryTest):
    def generate(self, *arguments, env):
        return ferry("generate", "--model", DEMO, "--prompt", "a red circle", "--steps", 1, "--overwrite", "--out",
                     self.folder / "x.mp4", *arguments, env=env)

    def assert_made(self, ranks, *arguments, env):
        done = self.generate(*arguments, env=env)
        self.assertEqual(done.returncode, 0, (arguments, env, done.stderr))
        self.assertEqual(len(json.loads((self.folder / "x.json").read_text())["ranks"]), ranks)


class Slurm(ElsewhereTest):
    def test_a_process_alone_in_a_step_of_one_task_runs(self):
        for env in (SHELL, {**SHELL, **PMIX}, {**SHELL, "PMI_RANK": "0", "PMI_SIZE": "1", "PMI_FD": "9"}):
            self.assert_made(1, env=env)

    def test_ranks_are_launched_in_such_a_step(self):
        for env in (SHELL, {**SHELL, **PMIX}):
            self.assert_made(1, "-n", 1, env=env)
            self.assert_made(2, "-n", 2, env=env)

    def test_ranks_are_launched_here_even_where_the_job_has_more_nodes(self):
        self.assert_made(2, "-n", 2, env=MULTI_NODE)

    def test_the_other_commands_run_in_such_a_step(self):
        env = {**SHELL, **PMIX}
        self.assertEqual(ferry("inspect", DEMO, env=env).returncode, 0)
        self.assertEqual(ferry("make-model", self.folder / "m", "--parts", "dit", env=env).returncode, 0)
        done = ferry("bench", "forward", "--model", self.folder / "m", "--size", "64x64", "--frames", 5, "--samples", 1,
                     env=env)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_batch_script_of_many_tasks_runs_one_process(self):
        self.assert_made(1, env=batch_script(8))

    def test_tasks_that_mpi_does_not_see_are_refused(self):
        # srun --mpi=none -n 3
        for task in ("0", "2"):
            done = self.generate(env={**step(3), "SLURM_PROCID": task})
            self.assert_refused(done, "3 processes were started", "SLURM_STEP_NUM_TASKS", "MPI sees 1", "-n 1")
        self.assertEqual(list(self.folder.iterdir()), [])


class OtherLaunchers(ElsewhereTest):
    LAUNCHERS = {
        "PMI_SIZE": {"PMI_RANK": "1", "PMI_SIZE": "2", "PMI_FD": "9", "MPI_LOCALNRANKS": "2", "MPI_LOCALRANKID": "1"},
        "MPI_LOCALNRANKS": {"MPI_LOCALNRANKS": "2", "MPI_LOCALRANKID": "0", "PMI_PORT": "x:9", "PMI_ID": "0"},
        "WORLD_SIZE": {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
                       "MASTER_ADDR": "localhost", "MASTER_PORT": "9"},
    }

    def test_processes_that_mpi_does_not_see_are_refused(self):
        for variable, env in self.LAUNCHERS.items():
            self.assert_refused(self.generate(env=env), "2 processes were started", variable, "MPI sees 1", "-n 1")
            self.assert_refused(ferry("demo", "--model", DEMO, env=env), "2 processes were started")
            self.assert_refused(ferry("bench", "forward", "--model", DEMO, env=env), "2 processes were started")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_count_alone_is_enough(self):
        for variable in ("MV2_COMM_WORLD_SIZE", "FLUX_JOB_SIZE", "PALS_NRANKS", "JSM_NAMESPACE_SIZE"):
            self.assert_refused(self.generate(env={variable: "3"}), "3 processes were started", variable, "-n 1")

    def test_torchrun_inside_a_step_of_one_task_is_refused(self):
        self.assert_refused(self.generate(env={**SHELL, **PMIX, **self.LAUNCHERS["WORLD_SIZE"]}), "WORLD_SIZE")

    def test_n_says_that_it_is_meant(self):
        for env in [*self.LAUNCHERS.values(), step(3)]:
            self.assert_made(1, "-n", 1, env=env)
        self.assert_made(2, "-n", 2, env=self.LAUNCHERS["WORLD_SIZE"])

    def test_a_count_of_one_or_none_is_no_launcher(self):
        for value in ("1", "", "many"):
            self.assert_made(1, env={"WORLD_SIZE": value})

    def test_commands_without_ranks_do_not_ask(self):
        self.assertEqual(ferry("inspect", DEMO, env=self.LAUNCHERS["WORLD_SIZE"]).returncode, 0)
        self.assertEqual(ferry("generate", "--help", env=self.LAUNCHERS["WORLD_SIZE"]).returncode, 0)


if __name__ == "__main__":
    unittest.main()
