import Simulation

SimulatorProgram.main()
