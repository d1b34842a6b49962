/* The commands of the program, one file each. */
#ifndef SYNCLINE_CLI_COMMANDS_H
#define SYNCLINE_CLI_COMMANDS_H

int command_rejoin(int argc, char **argv);
int command_leave(int argc, char **argv);
int command_forget(int argc, char **argv);
int command_slots(int argc, char **argv);
int command_address(int argc, char **argv);
int command_run(int argc, char **argv);
int command_init(int argc, char **argv);
int command_invite(int argc, char **argv);
int command_join(int argc, char **argv);
int command_health(int argc, char **argv);
int command_status(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_skip(int argc, char **argv);
int command_adopt(int argc, char **argv);
int command_engine(int argc, char **argv);
int command_conflicts(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_repair(int argc, char **argv);
int command_lab(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_net_holder(int argc, char **argv);

int command_lab_up(int argc, char **argv);
int command_lab_cut(int argc, char **argv);
int command_lab_heal(int argc, char **argv);
int command_lab_unplug(int argc, char **argv);
int command_lab_plug(int argc, char **argv);
int command_lab_kill(int argc, char **argv);
int command_lab_start(int argc, char **argv);
int command_lab_wait(int argc, char **argv);
int command_lab_sql(int argc, char **argv);
int command_lab_status(int argc, char **argv);
int command_lab_down(int argc, char **argv);

#endif
